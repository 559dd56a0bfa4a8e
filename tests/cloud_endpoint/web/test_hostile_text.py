"""Texts that a database cannot hold, and doors of another street: refused, never a server error."""

from collections.abc import Callable

import pytest
import requests
from cloud_street import POLE_CODE, RIGHT, SITE, WRONG, Street

from cloud_endpoint.access.credentials import Role, add_credential
from cloud_endpoint.database.engine import writing
from cloud_endpoint.street.registry import RegistryFile, load_registry

ODD = [
    "\x00",
    "a\x00b",
    "\ud800",
    "\u202e京A12345",
    "京A12345\ufeff",
    "🚗" * 8,
    "京" * 32,
    "ǅ",
    "%00",
    "\r\nX: y",
]


@pytest.fixture
def town(town_with: Callable[..., Street]) -> Street:
    return town_with(limits={"orders_per_account_per_day": 1000})


def in_review(town: Street) -> str:
    """An order that waits for an operator; returns the review's id."""
    order_id, _ = town.order("1005", RIGHT)
    town.call("POST", f"/v1/orders/{order_id}/cancel")
    town.call("POST", f"/v1/orders/{order_id}/appeals", {"reason": "mine"})
    return str(town.call("GET", "/v1/reviews", token=town.operator).json()[0]["review_id"])


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_odd_text_is_refused_or_kept_and_never_a_server_error(town: Street, odd: str) -> None:
    pole = town.enrol(reachable=False)
    pole.arrive("1001", RIGHT)
    review_id = in_review(town)
    order_id = town.open()
    token = next(iter(town.offer(order_id).values()))
    form = odd.encode("utf-8", "surrogatepass")
    pay = requests.Session()
    event = {"kind": "drive_in", "event_id": odd, "cause": "sensor", "berth_no": odd, "visit_id": odd}
    answers = [
        town.call("POST", "/v1/orders", {"place": {"pole_code": odd}, "account_id": "a"}),
        town.call("POST", "/v1/orders", {"place": {"pole_code": POLE_CODE}, "account_id": odd}),
        town.call("POST", "/v1/orders", {"place": {"zone": odd}, "account_id": "a", "client_id": odd}),
        town.submit(order_id, token, odd),
        town.submit(order_id, odd, RIGHT),
        town.call("POST", f"/v1/orders/{order_id}/cancel"),
        town.call("POST", f"/v1/orders/{order_id}/appeals", {"reason": odd}),
        town.call(
            "POST", f"/v1/reviews/{review_id}", {"decision": "refuse", "reason": odd}, token=town.operator
        ),
        pay.post(f"{town.url}/pay", data={"code": form}, timeout=10),
        pay.get(f"{town.url}/pay", params={"code": form}, timeout=10),
        pay.post(f"{town.url}/desk/session", data={"token": form}, timeout=10),
        pay.post(f"{town.url}/desk/session", data={"token": b"desk" + form}, timeout=10),
        pay.post(f"{town.url}/pay/{order_id}/submit", data={"plate": form, "berth_token": form}, timeout=10),
        pole.post(pole.request(software_version=odd)),
        pole.post(pole.request(health={"status": "degraded", "problems": [odd]})),
        pole.post(pole.request(events=[event])),
        requests.get(f"{town.url}/desk", cookies={"operator": "%00"}, timeout=10),
    ]
    assert [answer.status_code for answer in answers if answer.status_code >= 500] == []
    kept = town.call("GET", "/v1/reviews", token=town.operator)
    assert kept.status_code == 200
    assert "\\u0000" not in kept.text
    desk = requests.get(f"{town.url}/desk", cookies={"operator": town.operator}, timeout=10)
    assert desk.status_code == 200


def test_an_operator_of_another_street_finds_nothing_here(town: Street) -> None:
    pole = town.enrol()
    pole.arrive("1003", WRONG)
    review_id = in_review(town)
    order_id = town.open()
    with writing(town.cloud.engine) as connection:
        other = RegistryFile.model_validate({"sites": [{"site_id": "other", "name": "Other street"}]})
        load_registry(connection, other, town.clock())
        stranger, _ = add_credential(connection, "other", Role.OPERATOR, "stranger", town.clock())
        app, _ = add_credential(connection, "other", Role.TERMINAL, "other-app", town.clock())
        own_app, _ = add_credential(connection, SITE, Role.TERMINAL, "second-app", town.clock())
    assert town.call("GET", "/v1/reviews", token=stranger).json() == []
    decision = {"decision": "refuse", "reason": "no"}
    for answer in (
        town.call("POST", f"/v1/reviews/{review_id}", decision, token=stranger),
        town.call("GET", f"/v1/reviews/{review_id}/picture", token=stranger),
        town.call("GET", f"/v1/orders/{order_id}", token=app),
        town.call("POST", f"/v1/orders/{order_id}/cancel", token=app),
        town.call("GET", f"/v1/orders/{order_id}", token=own_app),  # not even another app of this street
    ):
        assert answer.status_code == 404
    assert town.call("GET", "/v1/berths/1003/snapshot", token=stranger).status_code == 409
    desk = requests.get(f"{town.url}/desk?lang=en", cookies={"operator": stranger}, timeout=10)
    assert "Other street" in desk.text
    assert "1003" not in desk.text
    assert "pole-1" not in desk.text
    assert town.call("POST", f"/v1/reviews/{review_id}", decision, token=town.operator).status_code == 200
