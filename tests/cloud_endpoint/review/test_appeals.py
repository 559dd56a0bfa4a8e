"""Objections after the fact: a few that are worth a look, and never in the way of who waits in the street."""

from collections.abc import Callable

import requests
from cloud_phone import Phone
from cloud_street import RIGHT, SITE, WRONG, Street, decide, rows, slug
from sqlalchemy import insert

from cloud_endpoint.base.clock import DAY_MS
from cloud_endpoint.database.engine import writing
from cloud_endpoint.database.tables import reviews
from cloud_endpoint.review.decisions import PAGE
from cloud_endpoint.review.operator_page import MOST_ORDERS


def appeal(street: Street, order_id: str, reason: str = "it is my car") -> requests.Response:
    return street.call("POST", f"/v1/orders/{order_id}/appeals", {"reason": reason})


def cancelled(street: Street, account: str = "driver-1", plate: str = RIGHT) -> str:
    """Submit and cancel an order."""
    order_id, _ = street.order("1003", plate, account)
    assert street.call("POST", f"/v1/orders/{order_id}/cancel").status_code == 200
    return order_id


def to_review(street: Street) -> str:
    """Bring an order to an operator who has others too."""
    street.enrol().arrive("1003", WRONG, accepted=False)
    order_id, _ = street.order("1003", RIGHT)
    assert street.view(order_id, wait=20)["instruction"] == "review"
    return order_id


def fill_queue(street: Street, count: int, kind: str = "appeal", age_ms: int = 3_600_000) -> None:
    """Have so many reviews wait, all older than any that follow."""
    lines = [
        {
            "site_id": SITE,
            "review_id": f"rev_filled_{number:04}",
            "kind": kind,
            "order_id": f"ord_filled_{number:04}",
            "reason": "mine",
            "opened_ms": street.clock() - age_ms + number,
        }
        for number in range(count)
    ]
    with writing(street.cloud.engine) as connection:
        connection.execute(insert(reviews), lines)


def test_an_order_has_one_open_appeal_at_a_time(street: Street) -> None:
    order_id = cancelled(street)
    assert appeal(street, order_id).status_code == 201
    for _ in range(3):
        again = appeal(street, order_id, "again")
        assert (again.status_code, slug(again)) == (409, "appeal-open")
    [review] = street.call("GET", "/v1/reviews", token=street.operator).json()
    assert decide(street, review["review_id"], decision="refuse", reason="no picture").status_code == 200
    assert appeal(street, order_id).status_code == 201


def test_an_order_without_a_plate_has_nothing_to_appeal(street: Street) -> None:
    order_id = street.open()
    street.offer(order_id)
    street.call("POST", f"/v1/orders/{order_id}/cancel")
    refused = appeal(street, order_id)
    assert (refused.status_code, slug(refused)) == (409, "appeal-without-plate")
    assert rows(street, reviews) == []


def test_an_order_can_be_appealed_for_days_and_not_for_ever(street: Street) -> None:
    order_id = cancelled(street)
    days = street.cloud.settings.limits.appeal_days
    street.clock.advance((days * DAY_MS + 60_000) / 1000)
    refused = appeal(street, order_id)
    assert (refused.status_code, slug(refused)) == (409, "appeal-too-late")
    street.clock.advance(-120)
    assert appeal(street, order_id).status_code == 201


def test_an_account_appeals_a_few_orders_a_day(street: Street) -> None:
    most = street.cloud.settings.limits.appeals_per_account_per_day
    for _ in range(most):
        assert appeal(street, cancelled(street)).status_code == 201
    order_id = cancelled(street)
    refused = appeal(street, order_id)
    assert (refused.status_code, slug(refused)) == (429, "too-many-appeals")
    assert int(refused.headers["Retry-After"]) > 0
    assert appeal(street, cancelled(street, account="driver-2")).status_code == 201
    street.clock.advance(DAY_MS / 1000)
    assert appeal(street, order_id).status_code == 201


def test_an_address_without_cookies_appeals_a_few_orders_a_day(town_with: Callable[..., Street]) -> None:
    town = town_with(limits={"appeals_per_address_per_day": 2})
    answers = []
    for _ in range(3):
        phone = Phone(town)
        phone.open()
        phone.choose("1003", RIGHT)
        phone.press("cancel")
        answers.append(phone.press("appeal", reason="mine"))
    assert ["looks at the picture again" in page for page in answers] == [True, True, False]
    assert "Too many objections" in answers[2]
    assert len(rows(town, reviews)) == 2


def test_what_a_driver_waits_for_is_on_the_first_page(street: Street) -> None:
    fill_queue(street, PAGE + 20)
    order_id = to_review(street)
    first = street.call("GET", "/v1/reviews", token=street.operator)
    assert (first.json()[0]["order_id"], len(first.json())) == (order_id, PAGE)
    assert first.headers["Link"] == '</v1/reviews?page=2>; rel="next"'
    second = street.call("GET", "/v1/reviews?page=2", token=street.operator)
    assert (len(second.json()), "Link" in second.headers) == (21, False)
    ids = {review["review_id"] for review in first.json() + second.json()}
    assert len(ids) == PAGE + 21
    for page in ("0", "x", "10001"):
        assert street.call("GET", f"/v1/reviews?page={page}", token=street.operator).status_code == 422


def test_the_desk_has_pages_and_shows_first_what_a_driver_waits_for(street: Street) -> None:
    fill_queue(street, PAGE + 1)
    to_review(street)
    for number in range(MOST_ORDERS + 1):
        street.call("POST", f"/v1/orders/{street.open(account=f'driver-{number}')}/cancel")
    desk = requests.Session()
    desk.cookies.set("operator", street.operator)
    first = desk.get(f"{street.url}/desk?lang=en", timeout=10).text
    assert f'<span class="count">{PAGE + 2}</span>' in first
    assert first.index("plate check") < first.index("objection")
    assert "reviews=2" in first
    assert "orders=2" in first
    assert first.index('class="tag review"') < first.index('class="tag cancelled"')
    second = desk.get(f"{street.url}/desk?lang=en&reviews=2&orders=2", timeout=10).text
    assert second.count('<article class="review"') == 2
    assert 'class="tag cancelled"' in second
    assert 'class="tag review"' not in second
    assert desk.get(f"{street.url}/desk/live?lang=en&orders=2", timeout=10).status_code == 200


def test_a_reason_with_a_nul_is_a_problem_at_the_desk_and_on_the_page(
    town_with: Callable[..., Street],
) -> None:
    town = town_with()
    phone = Phone(town)
    phone.open()
    phone.choose("1003", RIGHT)
    phone.press("cancel")
    refused = phone.post(f"{town.url}/pay/{phone.order_id}/appeal", data={"reason": "a\0b"}, timeout=10)
    assert (refused.status_code, refused.json()["field"]) == (422, "reason")
    phone.press("appeal", reason="mine")
    [review] = rows(town, reviews)
    for field, value in (("reason", "a\0b"), ("operator_plate", "京A\0")):
        form = {"decision": "refuse", "reason": "no", field: value}
        answer = requests.post(
            f"{town.url}/desk/reviews/{review['review_id']}",
            data=form,
            cookies={"operator": town.operator},
            timeout=10,
        )
        assert answer.status_code == 422, answer.text
