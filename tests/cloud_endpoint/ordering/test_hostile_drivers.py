"""Clients that race, repeat and change their mind: nobody gets two answers, and none is confirmed wrongly."""

from concurrent.futures import ThreadPoolExecutor

import requests
from cloud_pole import Fault
from cloud_street import RIGHT, WRONG, Street
from sqlalchemy import func, select

from cloud_endpoint.database.engine import reading
from cloud_endpoint.database.tables import captures, holds, order_events
from tests.waiting import until


def events_of(street: Street, order_id: str, event: str) -> int:
    with reading(street.cloud.engine) as connection:
        query = select(func.count()).where(order_events.c.order_id == order_id, order_events.c.event == event)
        return int(connection.execute(query).scalar_one())


def captured(street: Street) -> bool:
    with reading(street.cloud.engine) as connection:
        states = connection.execute(select(captures.c.state)).scalars().all()
    return bool(states) and "asked" not in states


def test_twin_submissions_at_once_are_one_submission_with_one_answer(street: Street) -> None:
    street.enrol().arrive("1003", RIGHT)
    order_id = street.open()
    body = {"berth_token": street.offer(order_id)["1003"], "plate": RIGHT, "minutes": 60}

    def send(_: int) -> requests.Response:
        return street.call(
            "POST", f"/v1/orders/{order_id}/submit", body, headers={"Idempotency-Key": "twin-submit"}
        )

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(send, range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert events_of(street, order_id, "submit") == 1


def test_two_plates_at_once_for_one_order_are_one_submission_and_one_refusal(street: Street) -> None:
    street.enrol().arrive("1003", RIGHT)
    order_id = street.open()
    token = street.offer(order_id)["1003"]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda plate: street.submit(order_id, token, plate), (RIGHT, WRONG)))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert events_of(street, order_id, "submit") == 1


def test_an_order_cancelled_while_its_picture_is_under_way_stays_cancelled(street: Street) -> None:
    pole = street.enrol()
    pole.drive_in("1003", RIGHT)
    pole.read("1003", plate=WRONG)
    pole.sync()
    pole.fault = Fault.SLOW
    order_id, answer = street.order("1003", RIGHT)
    assert answer["instruction"] == "pending"
    until(lambda: pole.pulled, "the pull hangs")
    assert street.call("POST", f"/v1/orders/{order_id}/cancel").json()["state"] == "cancelled"
    pole.fault = None
    pole.release.set()  # the picture shows the ordered plate
    until(lambda: captured(street), "the answer is judged")
    assert street.view(order_id)["state"] == "cancelled"
    with reading(street.cloud.engine) as connection:
        assert connection.execute(select(holds.c.order_id)).first() is None


def test_the_picture_of_an_earlier_submission_decides_nothing_about_the_next(street: Street) -> None:
    pole = street.enrol(reachable=False)
    pole.arrive("1003", RIGHT)
    order_id, _ = street.order("1003", WRONG)
    first = pole.sync()
    pole.answer_carried(first)
    assert street.view(order_id)["instruction"] == "plate_modification"
    token = street.offer(order_id)["1003"]
    assert street.submit(order_id, token, "京A12347").json()["instruction"] == "pending"
    pole.answer_carried(first)  # again, with the old nonce
    assert street.view(order_id)["instruction"] == "pending"
    pole.answer_carried(pole.sync())
    assert street.view(order_id)["attempts_left"] == 2


def test_a_reading_that_comes_after_the_drive_out_confirms_nobody(street: Street) -> None:
    pole = street.enrol()
    pole.drive_in("1003", RIGHT)
    pole.read("1003")
    pole.drive_out("1003")
    drive_in, late_reading, drive_out = pole.events
    for event in (drive_in, drive_out, late_reading):
        pole.events = [event]
        pole.sync()
    _, answer = street.order("1003", RIGHT)
    assert answer["instruction"] == "pending"
