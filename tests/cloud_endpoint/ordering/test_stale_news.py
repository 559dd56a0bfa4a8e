"""News that come late, are lost, or arrive while a picture is judged: no car is taken for another."""

import threading

import pytest
from cloud_street import RIGHT, WRONG, Street
from sqlalchemy import select, text, update

from cloud_endpoint.database.engine import reading, writing
from cloud_endpoint.database.tables import captures, devices, visits
from cloud_endpoint.ordering.pole_news import take_capture
from tests.waiting import until


def asked_captures(street: Street) -> bool:
    """Return whether a capture still waits for the pole's answer."""
    with reading(street.cloud.engine) as connection:
        return connection.execute(select(captures).where(captures.c.state == "asked")).first() is not None


def test_a_driver_who_is_faster_than_the_drive_out_of_the_car_before_waits_and_is_confirmed(
    street: Street,
) -> None:
    """Not sent to review after three looks at an empty berth, and not told to modify."""
    pole = street.enrol()
    pole.arrive("1003", WRONG)
    pole.drive_out("1003")  # still in the pole's outbox
    order_id, answer = street.order("1003", RIGHT)
    assert answer["instruction"] == "pending"
    # a clock that runs on before the pole has answered would have the pole asked again
    until(lambda: not asked_captures(street), "the pole is asked, and answers")
    for _ in range(4):
        street.clock.advance(20)
        street.cloud.wake.set()
        assert street.view(order_id, wait=0.7)["instruction"] == "pending"
    assert len(pole.pulled) == 1
    pole.arrive("1003", RIGHT)
    assert street.view(order_id, wait=20)["instruction"] == "order_confirmation"


def test_a_car_whose_drive_out_was_lost_is_not_confirmed_once_its_pole_says_vacant(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    held, _ = street.order("1003", RIGHT)
    del pole.standing["1003"]
    street.clock.advance(60)
    pole.sync(berths=[{"berth_no": "1003", "state": "vacant", "visit_id": None}])
    assert street.view(held)["reason"] == "vehicle_left"
    _, answer = street.order("1003", RIGHT, account="driver-2")
    assert answer["instruction"] == "pending"
    street.clock.advance(60)
    pole.arrive("1003", WRONG)
    _, answer = street.order("1003", WRONG, account="driver-3")
    assert answer["instruction"] == "order_confirmation"


def test_a_drive_out_that_is_stored_while_a_picture_is_judged_is_not_undone(street: Street) -> None:
    pole = street.enrol(reachable=False)
    pole.arrive("1003", RIGHT)
    order_id, _ = street.order("1003", WRONG)
    engine = street.cloud.engine
    with reading(engine) as connection:
        capture = connection.execute(select(captures)).one()
    answered = threading.Thread(
        target=take_capture, args=(street.cloud, capture, pole.snapshot("1003", capture.nonce))
    )
    with writing(engine) as connection:  # the sync that brings the drive-out, as far as its last statement
        connection.execute(select(devices.c.device_id).with_for_update()).one()
        connection.execute(update(visits).values(ended_ms=street.clock()))
        answered.start()
        if engine.dialect.name == "postgresql":  # SQLite lets no two write at once anyway
            waits = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
                until(lambda: other.execute(waits).scalar(), "the answer waits its turn")
    answered.join(10)
    assert not answered.is_alive()
    with reading(engine) as connection:
        assert connection.execute(select(visits.c.ended_ms)).scalar_one() is not None
    assert street.view(order_id)["instruction"] == "pending"


@pytest.mark.parametrize("sent_at", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
def test_times_beyond_all_calendars_do_not_close_the_operators_desk(street: Street, sent_at: str) -> None:
    pole = street.enrol()
    pole.drive_in("1001", RIGHT)
    pole.read("1001")
    for event in pole.events:
        event |= {"observed_at": "0001-01-01T00:00:00Z", "clock_synced": False}
    pole.sync(sent_at=sent_at, clock_synced=False)
    for path in ("/cds/events/events", "/cds/status", "/v1/reviews"):
        answer = street.call("GET", path, token=street.operator)
        assert answer.status_code == 200, answer.text
    desk = street.call("GET", "/desk", cookies={"operator": street.operator})
    assert desk.status_code == 200
    assert "1001" in desk.text
