"""Real processes, real bytes: what is promised holds when things break.

The tests share one street and follow each other; each leaves it empty.
"""

import sqlite3
from collections import Counter

import pytest

from edged.demo.cars import DemoCar, invented_cars
from edged.demo.scenario import Scenario
from edged.demo.site_files import DEVICE
from edged.demo.street import Street

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

BERTHS = ("1001", "1002", "1003", "1004")
CAR = DemoCar(plate="京A12345")


def empty(street: Street) -> None:
    for berth_no in BERTHS:
        street.hardware.drive_out(berth_no)
    for berth_no in BERTHS:
        street.wait_for_state(berth_no, "vacant", within_s=20)


def delivered(street: Street) -> None:
    street.processes.wait_until(
        lambda: street.outbox()["waiting"] == 0, within_s=30, what="all events delivered", process="edged"
    )
    assert street.outbox()["rejected"] == 0


def arrivals_at_cloud(street: Street) -> Counter[str]:
    """Return how often the cloud knows each visit."""
    path = street.hardware.files.run / "cloud.db"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT visit_id FROM visits WHERE device_id = ?", (DEVICE,)).fetchall()
    return Counter(visit_id for (visit_id,) in rows)


def health(street: Street) -> str:
    return " ".join(street.pole.ask("GET", "/v1/health")["problems"])


def test_the_demos_story_ends_as_expected(street: Street) -> None:
    Scenario(street=street, cars=invented_cars(7), photographs=False).play()
    assert street.timeline.unexpected == []
    empty(street)


def test_a_killed_daemon_loses_no_arrival_and_reports_none_twice(street: Street) -> None:
    for berth_no in BERTHS[:2]:
        street.hardware.drive_in(berth_no, CAR)
    for berth_no in BERTHS[:2]:
        street.wait_for_state(berth_no, "occupied")
    before = {berth_no: street.berths()[berth_no]["visit_id"] for berth_no in BERTHS[:2]}
    street.processes.kill("edged")
    street.hardware.drive_in("1003", CAR)  # while nobody looks
    street.start_edged()
    street.wait_for_state("1003", "occupied")
    after = street.berths()
    assert {berth_no: after[berth_no]["visit_id"] for berth_no in BERTHS[:2]} == before
    delivered(street)
    known = arrivals_at_cloud(street)
    for berth_no in BERTHS[:3]:
        assert known[after[berth_no]["visit_id"]] == 1
    visits = [visit["visit_id"] for visit in street.visits()]
    assert sorted(visits) == sorted(known)
    empty(street)


def test_a_camera_that_fails_costs_no_arrival_and_is_named(street: Street) -> None:
    street.hardware.camera_fault("html")
    street.hardware.drive_in("1001", CAR)
    street.wait_for_state("1001", "occupied")
    street.processes.wait_until(
        lambda: "high-101" in health(street), within_s=20, what="health names the camera", process="edged"
    )
    assert "Please log in" in health(street)
    assert street.reading("1001") is None
    street.hardware.camera_fault("")
    street.processes.wait_until(
        lambda: street.reading("1001") is not None, within_s=30, what="read after all", process="edged"
    )
    assert "high-101" not in health(street)
    empty(street)


def plate(street: Street, berth_no: str) -> str | None:
    """Return the accepted plate of the berth's visit, None while there is none."""
    reading = street.reading(berth_no)
    return reading["plate"] if reading and reading["accepted"] else None


def test_a_frozen_camera_gives_no_plate_and_is_named_until_it_thaws(street: Street) -> None:
    street.hardware.camera_fault("frozen")
    street.hardware.drive_in("1001", CAR)
    street.processes.wait_until(
        lambda: "repeats an old picture" in health(street),
        within_s=40,
        what="health names the frozen camera",
        process="edged",
    )
    assert not plate(street, "1001")
    street.hardware.camera_fault("")
    street.processes.wait_until(
        lambda: plate(street, "1001"), within_s=15, what="read after all", process="edged"
    )
    assert "repeats an old picture" not in health(street)
    empty(street)


def test_a_cloud_that_is_away_gets_everything_later(street: Street) -> None:
    street.processes.kill("cloud")
    street.hardware.drive_in("1002", CAR)
    street.wait_for_state("1002", "occupied")
    visit_id = street.berths()["1002"]["visit_id"]
    assert street.outbox()["waiting"] > 0
    street.start_cloud()
    delivered(street)
    assert arrivals_at_cloud(street)[visit_id] == 1
    empty(street)


def test_an_impossible_plate_and_a_foreign_token_are_refused_with_a_remedy(street: Street) -> None:
    order, other = street.new_order(), street.new_order()
    offered, _ = order.candidates()
    foreign, _ = other.candidates()
    berth_no = next(iter(offered))
    problem = order.refused(offered[berth_no], "AB")
    assert problem["field"] == "plate"
    assert problem["remedy"]
    problem = order.refused(foreign[berth_no], "京A12345")
    assert problem["field"] == "berth_token"
    assert problem["remedy"]
