"""The operator's signed callback: no payment is dropped, and none counts that is not signed."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from cloud_pole import Pole
from cloud_street import RIGHT, WRONG, Street, rows, slug
from sqlalchemy import select

from cloud_endpoint.access.signatures import sign
from cloud_endpoint.database.engine import reading
from cloud_endpoint.database.tables import audit as audit_table
from cloud_endpoint.database.tables import holds
from tests.waiting import until


def pay(street: Street, order_id: str, payment_id: str = "payment-1", **changes: Any) -> requests.Response:
    return street.pay(order_id, payment_id, changes.pop("header", None), **changes.pop("body", {}))


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
    assert (other["instruction"], other["reason"]) == ("pending", "already_paid")
    assert street.view(order_id)["state"] == "paid"


# -- the order's own times --------------------------------------------------------------------------------


def refunded(answer: requests.Response) -> str:
    body = answer.json()
    assert (answer.status_code, body["outcome"]) == (200, "refund_due"), body
    return str(body["reason"])


def test_a_payment_counts_between_confirmation_and_the_end_of_the_hold_only(street: Street) -> None:
    before = street.clock.now() - timedelta(minutes=2)
    _, order_id = confirmed(street)
    future = street.clock.now() + timedelta(minutes=10)
    for number, (paid_at, reason) in enumerate(
        [
            ("2001-01-01T00:00:00Z", "paid_too_early"),
            ("0001-01-01T00:00:00Z", "paid_too_early"),
            (before.isoformat(), "paid_too_early"),
            (future.isoformat(), "paid_in_future"),
            ("9999-12-31T23:59:59Z", "paid_in_future"),
        ]
    ):
        answer = pay(street, order_id, f"payment-{number}", body={"paid_at": paid_at})
        assert refunded(answer) == reason
    assert street.view(order_id)["state"] == "confirmed"
    street.clock.advance(20 * 60)
    assert refunded(pay(street, order_id, "payment-9")) == "paid_too_late"


@pytest.mark.parametrize("paid_at", ["2001-01-01T00:00:00Z", None])
def test_an_order_that_expired_unpaid_is_not_paid_by_any_other_time(
    street: Street, paid_at: str | None
) -> None:
    pole, order_id = confirmed(street)
    pole.leave("1003")
    street.clock.advance(5 * 60)  # the hold would have lasted longer
    answer = pay(street, order_id, body={"paid_at": paid_at} if paid_at else {})
    assert refunded(answer) == ("paid_too_early" if paid_at else "paid_too_late")
    assert street.view(order_id)["state"] == "expired"


def test_nothing_is_not_a_payment(street: Street) -> None:
    _, order_id = confirmed(street)
    assert refunded(pay(street, order_id, body={"amount_fen": 0})) == "nothing_paid"
    assert street.view(order_id)["state"] == "confirmed"


def test_the_reason_of_a_refund_is_answered_again_and_audited(street: Street) -> None:
    order_id = street.open()
    street.call("POST", f"/v1/orders/{order_id}/cancel")
    assert [refunded(pay(street, order_id)) for _ in range(2)] == ["cancelled"] * 2
    [line] = [line for line in rows(street, audit_table) if line["action"] == "refund_due"]
    assert line["detail"]["reason"] == "cancelled"


@pytest.mark.parametrize(
    "change", [{"minutes": 30}, {"amount_fen": 1}, {"paid_at": "2026-01-01T00:00:00Z"}], ids=str
)
def test_a_payment_id_that_comes_with_other_content_is_a_conflict(
    street: Street, change: dict[str, Any]
) -> None:
    _, order_id = confirmed(street)
    assert pay(street, order_id).json() == {
        "payment_id": "payment-1",
        "outcome": "applied",
        "reason": None,
    }
    refused = pay(street, order_id, body=change)
    assert (refused.status_code, slug(refused)) == (409, "payment-changed")
    assert next(iter(change)) in refused.json()["detail"]


# -- a longer stay ---------------------------------------------------------------------------------------


def paid_until(street: Street, order_id: str) -> datetime:
    return datetime.fromisoformat(street.view(order_id)["hold_until"])


def test_a_payment_that_is_reported_late_buys_no_more_time_than_was_paid(street: Street) -> None:
    _, order_id = confirmed(street)
    paid_at = street.clock.now()
    street.clock.advance(14 * 60)
    pay(street, order_id, body={"paid_at": paid_at.isoformat()})
    assert abs(paid_until(street, order_id) - paid_at - timedelta(minutes=60)) < timedelta(seconds=1)


def test_a_payment_reported_after_the_hold_ran_out_holds_the_berth_again(street: Street) -> None:
    _, order_id = confirmed(street)
    paid_at = street.clock.now().isoformat()
    street.clock.advance(16 * 60)
    until(lambda: street.view(order_id)["state"] == "expired", "the hold ends")
    assert pay(street, order_id, body={"paid_at": paid_at}).json()["outcome"] == "applied"
    _, other = street.order("1003", RIGHT, account="driver-2")
    assert (other["instruction"], other["reason"]) == ("pending", "already_paid")


def test_a_late_report_takes_no_berth_from_who_holds_it_now(street: Street) -> None:
    pole, order_id = confirmed(street)
    paid_at = street.clock.now().isoformat()
    pole.leave("1003")
    street.clock.advance(60)
    pole.arrive("1003", WRONG)
    holder, answer = street.order("1003", WRONG, account="driver-2")
    assert answer["state"] == "confirmed"
    assert pay(street, order_id, body={"paid_at": paid_at}).json()["outcome"] == "applied"
    with reading(street.cloud.engine) as connection:
        assert connection.execute(select(holds.c.order_id)).scalars().all() == [holder]


def test_a_paid_stay_is_paid_longer_while_the_car_is_there(street: Street) -> None:
    _, order_id = confirmed(street)
    pay(street, order_id)
    paid = paid_until(street, order_id)
    street.clock.advance(50 * 60)
    more = [pay(street, order_id, "payment-2", body={"minutes": 30}) for _ in range(2)]
    assert [answer.json()["outcome"] for answer in more] == ["applied"] * 2
    assert paid_until(street, order_id) - paid == timedelta(minutes=30)
    street.clock.advance(20 * 60)  # after the first time, within the second
    other, answer = street.order("1003", RIGHT, account="driver-2")
    assert answer["instruction"] == "pending"  # the reading is old: the pole looks first
    until(lambda: street.view(other)["reason"] == "already_paid", "the other driver is told")


def test_the_same_stay_paid_twice_by_mistake_is_to_be_refunded(street: Street) -> None:
    _, order_id = confirmed(street)
    pay(street, order_id)
    paid = paid_until(street, order_id)
    assert pay(street, order_id, "payment-2").json()["outcome"] == "refund_due"
    assert paid_until(street, order_id) == paid


def test_a_stay_that_is_over_is_not_paid_longer(street: Street) -> None:
    pole, order_id = confirmed(street)
    pay(street, order_id)
    there = street.clock.now().isoformat()
    street.clock.advance(60)
    pole.leave("1003")
    street.clock.advance(60)
    late = pay(street, order_id, "payment-2", body={"minutes": 30})
    assert late.json()["outcome"] == "refund_due"
    before = pay(street, order_id, "payment-3", body={"minutes": 30, "paid_at": there})
    assert before.json()["outcome"] == "applied"  # the car left after that
    street.clock.advance(3 * 3600)
    assert pay(street, order_id, "payment-4", body={"minutes": 30}).json()["outcome"] == "refund_due"


@pytest.mark.parametrize("minutes", [0, -5, 1441, "30 min", 1.5])
def test_minutes_that_nobody_can_stay_are_a_problem(street: Street, minutes: object) -> None:
    _, order_id = confirmed(street)
    pay(street, order_id)
    refused = pay(street, order_id, "payment-2", body={"minutes": minutes})
    assert (slug(refused), refused.json()["field"]) == ("request-invalid", "minutes")
