"""What bounds those who search: limits, presence, tokens; and whose doors open to whom."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from cloud_street import POLE_CODE, RIGHT, SITE, WRONG, Street, slug

from cloud_endpoint.access.credentials import Role, add_credential
from cloud_endpoint.database.engine import writing


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


def test_guessing_the_code_of_a_pole_as_proof_of_presence_uses_up_the_account(
    street_with: Callable[..., Street],
) -> None:
    street = street_with(limits={"orders_per_account_per_day": 4})
    order_id = street.open(place={"zone": "north"})
    token = street.offer(order_id)["1003"]
    assert slug(street.submit(order_id, token, RIGHT)) == "presence-required"  # forgotten, not guessed
    guesses = [street.submit(order_id, token, RIGHT, presence={"pole_code": f"guess-{i}"}) for i in range(5)]
    assert [slug(guess) for guess in guesses] == ["presence-required"] * 3 + ["too-many-orders"] * 2
    place = {"place": {"pole_code": POLE_CODE}, "account_id": "driver-1"}
    assert slug(street.call("POST", "/v1/orders", place)) == "too-many-orders"


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
