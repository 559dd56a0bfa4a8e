"""A pole takes a reading back: unpaid confirmations are pending again, paid ones are a human's to judge."""

from typing import Any

import pytest
from cloud_pole import Pole
from cloud_street import RIGHT, WRONG, Street, rows

from cloud_endpoint.base.clock import from_ms
from cloud_endpoint.database.tables import reviews, visits
from tests.waiting import until


def take_back(pole: Pole, berth_no: str, **changes: Any) -> None:
    """Deliver a reading of the same plate that is not accepted any more."""
    pole.clock.advance(5)
    pole.read(berth_no, accepted=False, **changes)
    pole.sync()


def states(street: Street, order_id: str) -> str:
    return str(street.view(order_id)["instruction"])


def test_an_unpaid_confirmation_is_pending_again_and_the_pole_is_asked(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    order_id, answer = street.order("1001", RIGHT)
    assert answer["instruction"] == "order_confirmation"
    pole.standing["1001"].accepted = False

    take_back(pole, "1001")

    assert states(street, order_id) == "pending"
    until(lambda: pole.pulled)
    pole.standing["1001"].accepted = True
    until(lambda: states(street, order_id) == "order_confirmation")


def test_a_reading_taken_back_with_the_time_of_its_picture_counts_as_well(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    order_id, _ = street.order("1001", RIGHT)
    pole.standing["1001"].accepted = False
    [visit] = rows(street, visits)

    take_back(pole, "1001", captured_at=from_ms(visit["captured_ms"]).isoformat())

    assert states(street, order_id) == "pending"


def test_no_driver_is_told_to_modify_because_of_it(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    order_id, _ = street.order("1001", RIGHT)
    pole.standing["1001"].plate = WRONG

    take_back(pole, "1001", plate=RIGHT)

    until(lambda: states(street, order_id) == "review")
    assert [review["reason"] for review in rows(street, reviews)] == ["reading_withdrawn"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_paid_order_stays_paid_and_opens_one_review(street: Street, times: int) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    order_id, _ = street.order("1001", RIGHT)
    assert street.pay(order_id).status_code == 200
    pole.standing["1001"].accepted = False

    for _ in range(times):
        take_back(pole, "1001")

    assert street.view(order_id)["state"] == "paid"
    assert [(review["kind"], review["reason"]) for review in rows(street, reviews)] == [
        ("appeal", "reading_withdrawn")
    ]


def test_a_payment_made_before_we_heard_of_it_counts(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    order_id, _ = street.order("1001", RIGHT)
    pole.standing["1001"].accepted = False
    take_back(pole, "1001")
    assert states(street, order_id) == "pending"

    assert street.pay(order_id).json()["outcome"] == "applied"
    assert street.view(order_id)["state"] == "paid"
    assert [(review["kind"], review["reason"], review["decision"]) for review in rows(street, reviews)] == [
        ("appeal", "reading_withdrawn", None)  # as if the payment had been reported first
    ]


def test_another_driver_may_have_the_berth_of_an_order_whose_reading_was_taken_back(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", WRONG)
    street.order("1001", WRONG)
    pole.standing["1001"].plate = RIGHT
    take_back(pole, "1001", plate=WRONG)

    other, _ = street.order("1001", RIGHT, account="driver-2")

    until(lambda: states(street, other) == "order_confirmation")


def test_an_order_whose_reading_was_taken_back_ends_when_its_vehicle_leaves(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    order_id, _ = street.order("1001", RIGHT)
    paid_at = street.clock.now().isoformat()
    pole.standing["1001"].accepted = False
    take_back(pole, "1001")

    pole.leave("1001")
    pole.arrive("1001", "沪B67890")

    view = street.view(order_id)
    assert (view["state"], view["reason"]) == ("expired", "vehicle_left")
    assert street.pay(order_id, paid_at=paid_at).json()["outcome"] == "applied"
    _, other = street.order("1001", "沪B67890", account="driver-2")
    assert other["instruction"] == "order_confirmation"  # the payment was for the vehicle before
