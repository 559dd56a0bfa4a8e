"""A pre-payment order from the first message to the last, over HTTP, on both databases."""

from datetime import timedelta

import pytest
from cloud_pole import Fault
from cloud_street import RIGHT, WRONG, Street, reviewed
from sqlalchemy import select

from cloud_endpoint.database.engine import reading
from cloud_endpoint.database.tables import order_events, orders
from cloud_endpoint.ordering.states import TABLE, OrderEvent, OrderState
from tests.waiting import until


def test_the_right_plate_is_confirmed_at_once_and_holds_the_berth(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    _, answer = street.order("1003", "京a·12345")
    assert answer["instruction"] == "order_confirmation"
    assert answer["hold_until"] is not None
    assert pole.pulled == []


def test_a_mismatch_is_recaptured_before_the_driver_is_told_and_the_corrected_plate_confirmed(
    street: Street,
) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    order_id, answer = street.order("1003", WRONG)
    assert answer["instruction"] == "pending"
    answer = street.view(order_id, wait=20)
    assert answer["instruction"] == "plate_modification"
    assert answer["attempts_left"] == 3
    assert pole.pulled == ["POST /v1/berths/1003/captures"]
    token = street.offer(order_id)["1003"]
    assert street.submit(order_id, token, RIGHT).json()["instruction"] == "order_confirmation"


def test_a_wrong_first_reading_never_makes_a_right_driver_modify(street: Street) -> None:
    pole = street.enrol()
    pole.drive_in("1003", RIGHT)
    pole.read("1003", plate=WRONG)
    pole.sync()
    order_id, answer = street.order("1003", RIGHT)
    assert answer["instruction"] == "pending"
    assert street.view(order_id, wait=20)["instruction"] == "order_confirmation"


def test_an_order_before_the_sensor_speaks_is_pending_until_the_pole_has_read(street: Street) -> None:
    pole = street.enrol()
    order_id, answer = street.order("1002", RIGHT)
    assert answer["instruction"] == "pending"
    pole.arrive("1002", RIGHT)
    assert street.view(order_id, wait=20)["instruction"] == "order_confirmation"


def test_a_pole_behind_nat_is_asked_on_its_next_sync(street: Street) -> None:
    pole = street.enrol(reachable=False)
    pole.arrive("1003", RIGHT)
    order_id, answer = street.order("1003", WRONG)
    assert answer["instruction"] == "pending"
    carried = pole.sync()
    assert [r["berth_no"] for r in carried["capture_requests"]] == ["1003"]
    pole.answer_carried(carried)
    assert street.view(order_id)["instruction"] == "plate_modification"


def test_low_confidence_is_pending_and_never_modify(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", WRONG, accepted=False)
    order_id, answer = street.order("1003", RIGHT)
    assert answer["instruction"] == "pending"
    assert street.view(order_id, wait=20)["instruction"] == "review"
    assert pole.pulled == ["POST /v1/berths/1003/captures"] * 3


def test_a_doubted_character_goes_to_review_not_to_the_driver(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", WRONG, characters=(0.999,) * 6 + (0.98,))
    order_id, _ = street.order("1003", RIGHT)
    assert street.view(order_id, wait=20)["instruction"] == "review"


@pytest.mark.parametrize("fault", [Fault.HTTP_500, Fault.NONSENSE, Fault.OTHER_KEY])
def test_a_snapshot_that_cannot_be_believed_decides_nothing(street: Street, fault: Fault) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    pole.fault = fault
    order_id, _ = street.order("1003", WRONG)
    assert street.view(order_id, wait=0.5)["instruction"] == "pending"
    assert pole.pulled
    pole.fault = None
    street.clock.advance(10)
    assert street.view(order_id, wait=20)["instruction"] == "plate_modification"


def test_after_three_modifications_a_human_decides(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    order_id = street.open()
    token = street.offer(order_id)["1003"]
    for attempts_left in (3, 2, 1):
        assert street.submit(order_id, token, WRONG).json()["instruction"] == "pending"
        answer = street.view(order_id, wait=20)
        assert (answer["instruction"], answer["attempts_left"]) == ("plate_modification", attempts_left)
    street.submit(order_id, token, WRONG)
    assert street.view(order_id, wait=20)["instruction"] == "review"


def test_a_vehicle_that_leaves_ends_the_confirmed_order(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    order_id, _ = street.order("1003", RIGHT)
    pole.leave("1003")
    answer = street.view(order_id)
    assert (answer["state"], answer["reason"]) == ("expired", "vehicle_left")


def test_a_hold_that_nobody_pays_for_ends(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    order_id, _ = street.order("1003", RIGHT)
    street.clock.advance(16 * 60)
    street.cloud.wake.set()
    answer = until(lambda: (a := street.view(order_id))["state"] == "expired" and a, "the hold ends")
    assert answer["reason"] == "unpaid"


def test_cancelling_lets_the_berth_go(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    first, _ = street.order("1003", RIGHT)
    assert street.call("POST", f"/v1/orders/{first}/cancel").json()["state"] == "cancelled"
    _, answer = street.order("1003", RIGHT, account="driver-2")
    assert answer["instruction"] == "order_confirmation"
    again = street.call("POST", f"/v1/orders/{first}/cancel")
    assert (again.status_code, again.json()["type"].rsplit("/")[-1]) == (409, "order-state")


def test_an_order_without_paths_through_the_table_never_exists(street: Street) -> None:
    """Each stored history is a walk through the table, from draft."""
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
    answer = until(lambda: (a := street.view(order_id))["state"] == "expired" and a, "it expires")
    assert (answer["instruction"], answer["reason"]) == ("expired", "too_late")
