"""An order that is deleted while its pole answers: the answer is dropped, and everything else goes on."""

from typing import Any

import pytest
from cloud_pole import Fault
from cloud_street import RIGHT, SITE, WRONG, Street
from fastapi import FastAPI
from sqlalchemy import delete, func, select

from cloud_endpoint.database.engine import reading, writing
from cloud_endpoint.database.tables import captures, orders, visits
from cloud_endpoint.ordering.pole_news import take_capture
from cloud_endpoint.records import forgetting
from tests.waiting import until


def forget(street: Street, account_id: str) -> None:
    gone = forgetting.forget(street.cloud.engine, SITE, street.clock(), account_id=account_id)
    assert gone.orders == 1


def test_a_pull_that_is_answered_after_its_order_was_forgotten_does_not_stop_the_clockwork(
    street: Street, running: tuple[str, FastAPI], caplog: pytest.LogCaptureFixture
) -> None:
    clockwork = running[1].state.clockwork
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    pole.fault = Fault.SLOW
    street.order("1003", WRONG)
    until(lambda: pole.pulled, "the pull hangs")
    forget(street, "driver-1")
    with caplog.at_level("INFO", "cloud_endpoint"):
        pole.fault = None
        pole.release.set()
        until(lambda: "not needed any more" in caplog.text, "the late answer is dropped")
    other, _ = street.order("1003", WRONG, account="driver-2")  # decided by the same clockwork
    assert street.view(other, wait=20)["instruction"] == "plate_modification"
    assert clockwork.turns


def test_a_batch_that_carries_back_the_picture_of_a_deleted_order_is_accepted(street: Street) -> None:
    pole = street.enrol(reachable=False)
    pole.arrive("1003", RIGHT)
    street.order("1003", WRONG)
    asked = pole.sync()
    with writing(street.cloud.engine) as connection:  # as retention does between two of our looks
        connection.execute(delete(orders))
    pole.drive_in("1004", WRONG)
    pole.answer_carried(asked)
    assert pole.events == []
    with reading(street.cloud.engine) as connection:
        assert connection.execute(select(func.count()).select_from(visits)).scalar() == 2


def test_a_late_answer_to_a_forgotten_order_leaves_nothing_behind(street: Street) -> None:
    pole = street.enrol(reachable=False)
    pole.arrive("1003", RIGHT)
    street.order("1003", WRONG)
    with reading(street.cloud.engine) as connection:
        capture: Any = connection.execute(select(captures)).one()
    forget(street, "driver-1")
    take_capture(street.cloud, capture, pole.snapshot("1003", capture.nonce))
    take_capture(street.cloud, capture, None, "camera failed")
    with reading(street.cloud.engine) as connection:
        assert connection.execute(select(func.count()).select_from(captures)).scalar() == 0
