"""What surrounds the plate check: repetition, races, limits, presence, payment, webhooks, review, appeal."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from cloud_street import POLE_CODE, RIGHT, SITE, SURE, WRONG, Fault, Pole, Street, wait_until
from sqlalchemy import func, select, update

from cloud_endpoint import audit
from cloud_endpoint.callbacks import is_signed, sign
from cloud_endpoint.database import reading, writing
from cloud_endpoint.tables import audit as audit_table
from cloud_endpoint.tables import captures, credentials, holds, order_events, orders


def slug(answer: requests.Response) -> str:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["remedy"]
    assert body["status"] == answer.status_code
    return str(body["type"].rsplit("/")[-1])


# -- repetition ------------------------------------------------------------------------------------------


def test_a_repeated_request_is_done_once_and_answered_alike(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    body = {"place": {"pole_code": POLE_CODE}, "account_id": "driver-1"}
    first, again = (
        street.call("POST", "/v1/orders", body, headers={"Idempotency-Key": "open-1"}) for _ in range(2)
    )
    assert first.json() == again.json()
    order_id = first.json()["order_id"]
    token = street.offer(order_id)["1003"]
    answers = [
        street.call(
            "POST",
            f"/v1/orders/{order_id}/submit",
            {"berth_token": token, "plate": RIGHT, "minutes": 60},
            headers={"Idempotency-Key": "submit-1"},
        )
        for _ in range(3)
    ]
    assert [a.status_code for a in answers] == [200] * 3
    assert answers[0].json() == answers[1].json() == answers[2].json()
    with reading(street.cloud.engine) as connection:
        submitted = select(func.count()).where(order_events.c.event == "submit")
        assert connection.execute(submitted).scalar() == 1


def test_a_key_that_comes_with_another_request_is_refused(street: Street) -> None:
    body = {"place": {"pole_code": POLE_CODE}, "account_id": "driver-1"}
    headers = {"Idempotency-Key": "key-1"}
    assert street.call("POST", "/v1/orders", body, headers=headers).status_code == 201
    other = street.call("POST", "/v1/orders", body | {"account_id": "driver-2"}, headers=headers)
    assert (other.status_code, slug(other)) == (422, "idempotency-key-reused")


def test_twins_sent_at_once_are_done_once(street: Street) -> None:
    body = {"place": {"pole_code": POLE_CODE}, "account_id": "driver-1"}

    def send(_: int) -> Any:
        return street.call("POST", "/v1/orders", body, headers={"Idempotency-Key": "twin"}).json()

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(send, range(6)))
    assert {answer["order_id"] for answer in answers} == {answers[0]["order_id"]}


# -- races -----------------------------------------------------------------------------------------------


def test_of_many_racing_orders_for_one_vehicle_exactly_one_holds_the_berth(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    ready = []
    for number in range(8):
        order_id = street.open(f"driver-{number}")
        ready.append((order_id, street.offer(order_id)["1003"]))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda r: street.submit(*r, RIGHT).json(), ready))
    assert sorted(a["instruction"] for a in answers) == ["order_confirmation"] + ["pending"] * 7
    with reading(street.cloud.engine) as connection:
        held = connection.execute(select(holds.c.order_id)).scalars().all()
    assert held == [a["order_id"] for a in answers if a["state"] == "confirmed"]


def test_when_the_holder_gives_up_a_waiting_order_gets_the_berth(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    first, _ = street.order("1003", RIGHT)
    second, answer = street.order("1003", RIGHT, account="driver-2")
    assert (answer["instruction"], answer["reason"]) == ("pending", "berth_held")
    street.call("POST", f"/v1/orders/{first}/cancel")
    street.clock.advance(6)
    assert street.view(second, wait=20)["instruction"] == "order_confirmation"


def test_a_new_vehicle_is_not_bound_by_the_hold_of_the_one_before(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    street.order("1003", RIGHT)
    # The drive-out is lost; another car drives in.
    street.clock.advance(60)
    pole.arrive("1003", WRONG)
    _, answer = street.order("1003", WRONG, account="driver-2")
    assert answer["instruction"] == "order_confirmation"


# -- limits, presence, tokens ----------------------------------------------------------------------------


def test_an_account_a_phone_and_a_zone_are_each_limited(street_with: Callable[..., Street]) -> None:
    street = street_with(
        limits={
            "orders_per_account_per_day": 2,
            "orders_per_client_per_day": 3,
            "orders_per_zone_per_hour": 4,
        }
    )

    def opened(account: str, client: str) -> requests.Response:
        body = {"place": {"pole_code": POLE_CODE}, "account_id": account, "client_id": client}
        return street.call("POST", "/v1/orders", body)

    assert [opened("a", "p").status_code for _ in range(2)] == [201, 201]
    refused = opened("a", "q")
    assert (refused.status_code, slug(refused), refused.json()["field"]) == (
        429,
        "too-many-orders",
        "account_id",
    )
    assert int(refused.headers["Retry-After"]) > 0
    assert opened("b", "p").status_code == 201
    assert opened("c", "p").json()["field"] == "client_id"
    assert opened("d", "r").status_code == 201
    assert opened("e", "s").json()["field"] == "place"


def test_guessing_pole_codes_uses_up_the_account(street_with: Callable[..., Street]) -> None:
    street = street_with(limits={"orders_per_account_per_day": 3})
    answers = [
        street.call("POST", "/v1/orders", {"place": {"pole_code": f"guess-{i}"}, "account_id": "thief"})
        for i in range(5)
    ]
    assert [a.status_code for a in answers] == [404, 404, 404, 429, 429]


def test_an_attacker_with_one_account_searches_no_more_berths_than_documented(
    street_with: Callable[..., Street],
) -> None:
    """docs/decisions/0041: orders per day x (modifications + 1); here 2 x 4 instead of 20 x 4."""
    street = street_with(limits={"orders_per_account_per_day": 2})
    pole = street.enrol()
    for number in range(5):
        pole.arrive(str(1001 + number), f"京B1111{number}")
    searched = 0
    while True:
        body = {"place": {"pole_code": POLE_CODE}, "account_id": "thief"}
        opened = street.call("POST", "/v1/orders", body)
        if opened.status_code != 201:
            break
        order_id = opened.json()["order_id"]
        tokens = list(street.offer(order_id).values())
        for token in tokens * 2:
            if street.submit(order_id, token, "沪C99999").status_code != 200:
                break
            searched += 1
            if street.view(order_id, wait=20)["instruction"] != "plate_modification":
                break
    assert searched == 8


@pytest.mark.parametrize(
    "place",
    [{}, {"zone": "north", "pole_code": POLE_CODE}, {"zone": None}, {"zone": "north", "position": None}],
)
def test_a_place_is_one_thing(street: Street, place: dict[str, Any]) -> None:
    refused = street.call("POST", "/v1/orders", {"place": place, "account_id": "driver-1"})
    assert (refused.status_code, slug(refused), refused.json()["field"]) == (422, "request-invalid", "place")


def test_an_order_for_a_zone_needs_proof_of_presence(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    order_id = street.open(place={"zone": "north"})
    token = street.offer(order_id)["1003"]
    far = {"position": {"lat": 31.3, "lon": 121.4737}}
    for presence in (None, far, {"pole_code": "other"}, {}):
        refused = street.submit(order_id, token, RIGHT, presence=presence)
        assert (refused.status_code, slug(refused), refused.json()["field"]) == (
            422,
            "presence-required",
            "presence",
        )
    answer = street.submit(order_id, token, RIGHT, presence={"position": {"lat": 31.2305, "lon": 121.4737}})
    assert answer.json()["instruction"] == "order_confirmation"


def test_a_stale_or_foreign_candidate_token_is_refused(street: Street) -> None:
    mine, other = street.open(), street.open("driver-2")
    token, foreign = street.offer(mine)["1001"], street.offer(other)["1001"]
    assert slug(street.submit(mine, foreign, RIGHT)) == "candidate-token-foreign"
    assert slug(street.submit(mine, "not-a-token", RIGHT)) == "candidate-token-foreign"
    newer = street.offer(mine)["1001"]
    assert slug(street.submit(mine, token, RIGHT)) == "candidate-token-foreign"
    street.clock.advance(11 * 60)
    assert slug(street.submit(mine, newer, RIGHT)) == "candidate-token-stale"


def test_an_impossible_plate_is_refused_with_what_is_wrong(street: Street) -> None:
    order_id = street.open()
    token = street.offer(order_id)["1001"]
    refused = street.submit(order_id, token, "京AI2345")
    assert (refused.status_code, slug(refused), refused.json()["field"]) == (422, "plate-impossible", "plate")
    assert "digit 1" in refused.json()["detail"]
    assert street.submit(order_id, token, "'; DROP TABLE orders; --").status_code == 422
    assert street.view(order_id)["state"] == "offered"


def test_the_candidate_answer_holds_berth_numbers_and_tokens_only(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    answer = street.call("POST", f"/v1/orders/{street.open()}/candidates").json()
    assert set(answer) == {"order_id", "state", "instruction", "candidates", "expires_at"}
    assert [set(c) for c in answer["candidates"]] == [{"berth_no", "token"}] * 5
    assert [c["berth_no"] for c in answer["candidates"]] == ["1001", "1002", "1003", "1004", "1005"]


def test_no_answer_to_a_terminal_ever_holds_the_read_plate(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    order_id = street.open()
    texts = [street.call("POST", f"/v1/orders/{order_id}/candidates").text]
    token = street.offer(order_id)["1003"]
    texts.append(street.submit(order_id, token, WRONG).text)
    texts.append(json.dumps(street.view(order_id, wait=20), ensure_ascii=False))
    assert "plate_modification" in texts[-1]
    assert not [text for text in texts if RIGHT in text or RIGHT[2:] in text]


def test_a_strangers_order_looks_like_none_at_all(street: Street) -> None:
    from cloud_endpoint.access import Role, add_credential

    order_id = street.open()
    with writing(street.cloud.engine) as connection:
        stranger, _ = add_credential(connection, SITE, Role.TERMINAL, "other-app", street.clock())
    seen = street.call("GET", f"/v1/orders/{order_id}", token=stranger)
    none = street.call("GET", "/v1/orders/ord_0123456789", token=stranger)
    assert seen.status_code == none.status_code == 404
    assert seen.json() == none.json()


@pytest.mark.parametrize("token", ["", "app", "app.wrong", "nobody.x", "京A"])
def test_a_wrong_token_opens_nothing(street: Street, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}".encode()}
    answer = requests.get(f"{street.url}/v1/orders/ord_12345678", headers=headers, timeout=10)
    assert (answer.status_code, slug(answer)) == (401, "not-authorised")


def test_terminals_poles_and_operators_do_not_open_each_others_doors(street: Street) -> None:
    pole = street.enrol()
    body = {"place": {"pole_code": POLE_CODE}, "account_id": "a"}
    assert slug(street.call("POST", "/v1/orders", body, token=street.operator)) == "wrong-role"
    assert slug(street.call("POST", "/v1/orders", body, token=pole.token)) == "not-authorised"
    assert slug(street.call("GET", "/v1/reviews", token=street.terminal)) == "wrong-role"
    assert slug(pole.post(pole.request(), token=street.terminal)) == "not-authorised"


# -- payment ---------------------------------------------------------------------------------------------


def pay(street: Street, order_id: str, payment_id: str = "payment-1", **changes: Any) -> requests.Response:
    body = {
        "payment_id": payment_id,
        "order_id": order_id,
        "amount_fen": 500,
        "paid_at": street.clock.now().isoformat(),
    }
    text = json.dumps(body | changes.pop("body", {})).encode()
    header = changes.pop("header", None) or sign(text, street.secret, street.clock() // 1000)
    return requests.post(
        f"{street.url}/v1/callbacks/app/payments",
        data=text,
        headers={"Edged-Signature": header, "Content-Type": "application/json"},
        timeout=10,
    )


def confirmed(street: Street) -> tuple[Pole, str]:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    order_id, answer = street.order("1003", RIGHT)
    assert answer["state"] == "confirmed"
    return pole, order_id


def test_a_signed_payment_closes_the_order_once(street: Street) -> None:
    _, order_id = confirmed(street)
    answers = [pay(street, order_id) for _ in range(2)]
    assert [a.json()["outcome"] for a in answers] == ["applied", "applied"]
    assert street.view(order_id)["state"] == "paid"
    changed = pay(street, order_id, body={"amount_fen": 1})
    assert slug(changed) == "payment-changed"


def test_a_payment_that_is_not_signed_changes_nothing(street: Street) -> None:
    _, order_id = confirmed(street)
    old = sign(b"{}", street.secret, street.clock() // 1000 - 3600)
    for header in ("t=1,v1=" + "0" * 64, "nonsense", old):
        assert slug(pay(street, order_id, header=header)) == "signature-refused"
    assert street.view(order_id)["state"] == "confirmed"


def test_a_driver_who_paid_before_leaving_has_paid(street: Street) -> None:
    pole, order_id = confirmed(street)
    paid_at = street.clock.now().isoformat()
    pole.leave("1003")
    assert street.view(order_id)["state"] == "expired"
    assert pay(street, order_id, body={"paid_at": paid_at}).json()["outcome"] == "applied"
    assert street.view(order_id)["state"] == "paid"


def test_a_payment_for_an_order_that_was_never_confirmed_is_to_be_refunded_and_audited(
    street: Street,
) -> None:
    order_id = street.open()
    assert pay(street, order_id).json()["outcome"] == "refund_due"
    with reading(street.cloud.engine) as connection:
        actions = connection.execute(select(audit_table.c.action)).scalars().all()
    assert "refund_due" in actions


def test_a_paid_order_keeps_the_berth_for_its_minutes(street: Street) -> None:
    _, order_id = confirmed(street)
    pay(street, order_id)
    street.clock.advance(20 * 60)
    _, other = street.order("1003", RIGHT, account="driver-2")
    assert other["reason"] == "berth_held" or other["instruction"] == "pending"
    assert street.view(order_id)["state"] == "paid"


# -- webhook ---------------------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[tuple[str, list[tuple[str, bytes]], list[int]]]:
    """An operator's app: what it received, and which answers it gives first."""
    received: list[tuple[str, bytes]] = []
    faults: list[int] = []

    class App(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.headers["Edged-Signature"], body))
            self.send_response(faults.pop(0) if faults else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), App)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook", received, faults
    server.shutdown()
    server.server_close()


def test_an_instruction_that_follows_later_is_pushed_signed_and_retried(
    street: Street, listener: tuple[str, list[tuple[str, bytes]], list[int]]
) -> None:
    url, received, faults = listener
    faults.append(500)
    with writing(street.cloud.engine) as connection:
        connection.execute(update(credentials).values(webhook_url=url))
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    order_id, _ = street.order("1003", WRONG)
    assert street.view(order_id, wait=20)["instruction"] == "plate_modification"
    wait_until(lambda: received, "the first delivery")
    street.clock.advance(30)
    street.cloud.wake.set()
    wait_until(lambda: len(received) == 2, "the second delivery")
    header, body = received[-1]
    assert is_signed(body, header, street.secret, street.clock() / 1000)
    told = json.loads(body)
    assert (told["order"]["order_id"], told["order"]["instruction"]) == (order_id, "plate_modification")
    assert received[0][1] == body
    assert RIGHT not in body.decode()


# -- review, appeal, audit -------------------------------------------------------------------------------


def reviewed(street: Street) -> tuple[Pole, str, dict[str, Any]]:
    pole = street.enrol()
    pole.arrive("1003", WRONG, characters=(0.999,) * 6 + (0.98,))
    order_id, _ = street.order("1003", RIGHT)
    assert street.view(order_id, wait=20)["instruction"] == "review"
    queue = street.call("GET", "/v1/reviews", token=street.operator).json()
    assert len(queue) == 1
    return pole, order_id, queue[0]


def decide(street: Street, review_id: str, **body: Any) -> requests.Response:
    return street.call("POST", f"/v1/reviews/{review_id}", body, token=street.operator)


def test_a_review_keeps_read_ordered_and_operators_plate_apart(street: Street) -> None:
    _, order_id, review = reviewed(street)
    assert (review["read_plate"], review["ordered_plate"], review["operator_plate"]) == (WRONG, RIGHT, None)
    done = decide(street, review["review_id"], decision="approve", operator_plate=RIGHT, reason="a clear 5")
    assert done.status_code == 200, done.text
    body = done.json()
    assert (body["read_plate"], body["ordered_plate"], body["operator_plate"]) == (WRONG, RIGHT, RIGHT)
    assert street.view(order_id)["instruction"] == "order_confirmation"
    again = decide(street, review["review_id"], decision="refuse", reason="changed my mind")
    assert (again.status_code, slug(again)) == (409, "review-closed")


def test_an_operator_cannot_approve_a_plate_that_differs(street: Street) -> None:
    _, order_id, review = reviewed(street)
    for plate in (WRONG, None):
        refused = decide(street, review["review_id"], decision="approve", operator_plate=plate, reason="ok")
        assert slug(refused) == "plates-differ"
    assert street.view(order_id)["state"] == "review"


def test_an_order_in_review_is_confirmed_by_a_later_picture_and_leaves_the_queue(street: Street) -> None:
    pole, order_id, review = reviewed(street)
    pole.standing["1003"].plate, pole.standing["1003"].characters = RIGHT, SURE
    assert street.view(order_id)["state"] == "review"
    street.clock.advance(street.cloud.settings.orders.review_look_s)
    wait_until(lambda: street.view(order_id)["state"] == "confirmed", "the pole looks on")
    assert street.call("GET", "/v1/reviews", token=street.operator).json() == []
    late = decide(street, review["review_id"], decision="refuse", reason="too late")
    assert (late.status_code, slug(late)) == (409, "review-closed")


def test_what_a_later_picture_shows_otherwise_leaves_a_review_to_the_operator(street: Street) -> None:
    pole, order_id, _ = reviewed(street)
    pole.standing["1003"].characters = SURE  # another plate, read for sure
    looked = len(pole.pulled)
    street.clock.advance(street.cloud.settings.orders.review_look_s)
    wait_until(lambda: len(pole.pulled) > looked, "the pole looks on")
    wait_until(lambda: captures_open(street) == 0, "the picture is judged")
    assert street.view(order_id)["state"] == "review"


def captures_open(street: Street) -> int:
    with reading(street.cloud.engine) as connection:
        asked = select(func.count()).select_from(captures).where(captures.c.state == "asked")
        return int(connection.execute(asked).scalar_one())


def test_cancelling_takes_the_review_out_of_the_queue(street: Street) -> None:
    _, order_id, _ = reviewed(street)
    assert street.call("POST", f"/v1/orders/{order_id}/cancel").json()["state"] == "cancelled"
    assert street.call("GET", "/v1/reviews", token=street.operator).json() == []


def test_a_review_of_a_cancelled_order_is_closed(street: Street) -> None:
    _, order_id, review = reviewed(street)
    street.call("POST", f"/v1/orders/{order_id}/cancel")
    refused = decide(street, review["review_id"], decision="approve", operator_plate=RIGHT, reason="late")
    assert (refused.status_code, slug(refused)) == (409, "review-closed")
    assert street.view(order_id)["state"] == "cancelled"


def test_a_refused_order_tells_the_driver_and_can_be_appealed(street: Street) -> None:
    _, order_id, review = reviewed(street)
    decide(street, review["review_id"], decision="refuse", operator_plate=WRONG, reason="it is a 6")
    answer = street.view(order_id)
    assert (answer["instruction"], answer["reason"]) == ("cancelled", "refused")
    appealed = street.call("POST", f"/v1/orders/{order_id}/appeals", {"reason": "it is my car"})
    assert appealed.status_code == 201
    queue = street.call("GET", "/v1/reviews", token=street.operator).json()
    assert [r["kind"] for r in queue] == ["appeal"]
    decide(street, queue[0]["review_id"], decision="approve", operator_plate=RIGHT, reason="a 5 after all")
    assert street.view(order_id)["state"] == "cancelled"
    with reading(street.cloud.engine) as connection:
        history = connection.execute(
            select(order_events.c.event)
            .where(order_events.c.order_id == order_id)
            .order_by(order_events.c.number)
        )
        assert history.scalars().all()[-3:] == ["refuse", "appeal", "correct"]


def test_the_audit_chain_holds_and_shows_where_it_was_changed(street: Street) -> None:
    _, _, review = reviewed(street)
    decide(street, review["review_id"], decision="approve", operator_plate=RIGHT, reason="a clear 5")
    with reading(street.cloud.engine) as connection:
        verified = audit.verify(connection, SITE)
        lines = connection.execute(select(audit_table).order_by(audit_table.c.number)).mappings().all()
    assert verified.lines == len(lines) >= 4
    assert not [line for line in lines if RIGHT in json.dumps(dict(line), ensure_ascii=False)]
    number = lines[1]["number"]
    with writing(street.cloud.engine) as connection:
        connection.execute(
            update(audit_table).where(audit_table.c.number == number).values(actor="somebody else")
        )
    with (
        reading(street.cloud.engine) as connection,
        pytest.raises(audit.AuditBroken, match=f"line {number} was changed"),
    ):
        audit.verify(connection, SITE)


@pytest.mark.parametrize(("removed", "message"), [(2, "line 2 is missing"), (-1, "the chain ends at line")])
def test_a_line_that_is_missing_from_the_audit_is_noticed(street: Street, removed: int, message: str) -> None:
    for number in range(4):
        with writing(street.cloud.engine) as connection:
            audit.append(
                connection, SITE, actor="a", action="test", subject=str(number), now_ms=street.clock()
            )
    with writing(street.cloud.engine) as connection:
        numbers = (
            connection.execute(select(audit_table.c.number).order_by(audit_table.c.number)).scalars().all()
        )
        number = numbers[removed] if removed < 0 else removed
        connection.execute(audit_table.delete().where(audit_table.c.number == number))
    with reading(street.cloud.engine) as connection, pytest.raises(audit.AuditBroken, match=message):
        audit.verify(connection, SITE)


def test_old_audit_lines_can_be_forgotten_and_the_rest_still_holds(street: Street) -> None:
    with writing(street.cloud.engine) as connection:
        for at_ms in (1000, 2000, 3000):
            audit.append(connection, "old-site", actor="a", action="test", subject="s", now_ms=at_ms)
        assert audit.prune(connection, "old-site", 2500) == 2
        assert audit.verify(connection, "old-site").lines == 1


def test_an_order_without_paths_through_the_table_never_exists(street: Street) -> None:
    """Each stored history is a walk through the table, from draft."""
    from cloud_endpoint.order_states import TABLE, OrderEvent, OrderState

    reviewed(street)
    with reading(street.cloud.engine) as connection:
        ids = connection.execute(select(orders.c.order_id)).scalars().all()
        for order_id in ids:
            state = OrderState.DRAFT
            for event, after in connection.execute(
                select(order_events.c.event, order_events.c.state)
                .where(order_events.c.order_id == order_id)
                .order_by(order_events.c.number)
            ):
                assert TABLE[state, OrderEvent(event)] == after
                state = OrderState(after)


def test_expired_means_expired(street: Street) -> None:
    order_id, _ = street.order("1001", RIGHT)
    street.clock.advance(timedelta(minutes=16).total_seconds())
    street.cloud.wake.set()
    answer = wait_until(lambda: (a := street.view(order_id))["state"] == "expired" and a, "it expires")
    assert (answer["instruction"], answer["reason"]) == ("expired", "too_late")


def test_plates_and_tokens_are_in_no_log(street: Street, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        pole, order_id, review = reviewed(street)
        pole.fault = Fault.HTTP_500
        other, _ = street.order("1003", "京A12347", account="driver-2")
        wait_until(lambda: "pull failed" in caplog.text, "the failed pull is logged")
        decide(street, review["review_id"], decision="refuse", reason="no")
        street.view(other)
        street.view(order_id)
    ours = [r.getMessage() for r in caplog.records if r.name.startswith(("cloud_endpoint", "uvicorn"))]
    assert ours
    for secret in (RIGHT, WRONG, "京A12347", street.terminal, street.operator, pole.token, street.secret):
        assert not [line for line in ours if secret in line]
