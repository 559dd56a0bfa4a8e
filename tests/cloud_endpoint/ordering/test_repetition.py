"""What is sent twice is done once; of those who race for one vehicle, one gets it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cloud_street import POLE_CODE, RIGHT, WRONG, Street, slug
from sqlalchemy import func, select

from cloud_endpoint.database.engine import reading
from cloud_endpoint.database.tables import holds, order_events


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
