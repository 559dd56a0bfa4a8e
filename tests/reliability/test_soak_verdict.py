"""The soak's verdict names each way in which a run went wrong."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edged.demo.hardware import Hardware
from edged.demo.site_files import DEVICE, SiteFiles
from edged.domain.plate import PlateKind
from edged.domain.reading import PlateReading
from edged.domain.timekeeping import Stamp
from edged.settings import StoreSettings
from edged.store import NewReading, Store
from tests.reliability.soak.traffic import Traffic
from tests.reliability.soak.usage import Usage
from tests.reliability.soak.verdict import verdict

STAMP = Stamp(utc=datetime(2026, 12, 1, tzinfo=UTC), clock_synced=True, boot_id="boot-1", monotonic_s=1.0)
PLATES = {"visit-0001": "京A12345", "visit-0002": "京A12346"}


def look(hours: float, **changes: int) -> Usage:
    values = {"rss_kib": 180_000, "threads": 18, "descriptors": 30, "children": 0, **changes}
    return Usage(at_s=hours * 3600, **values)


STEADY = [look(0), look(0.2), look(0.4), look(0.6)]


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A folder with the box's store and the cloud's database: two visits, the first one read."""
    with Store.open(StoreSettings(directory=tmp_path / "store")) as store:
        for visit_id in PLATES:
            store.drive_in("1001", visit_id, STAMP, "sensor")
        read = PlateReading(
            text=PLATES["visit-0001"],
            kind=PlateKind.SMALL_CAR,
            characters=(0.99,) * 7,
            confidence=0.99,
            accepted=True,
        )
        store.commit_reading(
            NewReading(
                visit_id="visit-0001",
                berth_no="1001",
                stamp=STAMP,
                reading=read,
                captured=STAMP,
                model_version="test",
                evidence_jpeg=None,
            )
        )
    with closing(sqlite3.connect(tmp_path / "cloud.db")) as cloud, cloud:
        cloud.execute("CREATE TABLE visits (visit_id TEXT, device_id TEXT)")
        cloud.executemany("INSERT INTO visits VALUES (?, ?)", [(visit_id, DEVICE) for visit_id in PLATES])
    return tmp_path


def result(
    box: Path, shown: dict[str, str] | None = None, pauses: list[Usage] | None = None
) -> dict[str, Any]:
    files = SiteFiles(folder=box, run=box, berths=[], seed=1)
    traffic = Traffic(Hardware(files=files, camera_port=0, polygons={}), [], shown or dict(PLATES))
    return verdict(traffic, pauses or STEADY, store=box / "store", cloud=box / "cloud.db", minutes=60)


def test_a_run_without_fault_passes(box: Path) -> None:
    assert result(box)["failures"] == []
    assert (result(box)["visits"], result(box)["read"]) == (2, 1)


@pytest.mark.parametrize(
    ("shown", "failure"),
    [
        ({**PLATES, "visit-0003": "京A12347"}, "lost_at_the_box: 1"),
        ({"visit-0001": PLATES["visit-0001"]}, "visits_of_no_car: 1"),
        ({**PLATES, "visit-0001": "京A12349"}, "wrong_plates_accepted: 1"),
    ],
)
def test_what_the_box_has_is_compared_with_the_cars(box: Path, shown: dict[str, str], failure: str) -> None:
    assert result(box, shown)["failures"] == [failure]


@pytest.mark.parametrize(
    ("statement", "failure"),
    [
        ("DELETE FROM visits WHERE visit_id = 'visit-0002'", "lost_at_the_cloud: 1"),
        ("INSERT INTO visits SELECT * FROM visits WHERE visit_id = 'visit-0002'", "doubled_at_the_cloud: 1"),
    ],
)
def test_what_the_cloud_has_is_compared_with_the_box(box: Path, statement: str, failure: str) -> None:
    with closing(sqlite3.connect(box / "cloud.db")) as cloud, cloud:
        cloud.execute(statement)
    assert result(box)["failures"] == [failure]


@pytest.mark.parametrize(
    ("last", "failure"),
    [
        ({"threads": 19}, "threads_leaked: 1"),
        ({"children": 1}, "children_leaked: 1"),
        ({"descriptors": 33}, "descriptors_leaked: 3"),
        ({"rss_kib": 182_000}, "memory grows by"),
    ],
)
def test_what_is_left_at_the_end_is_a_leak(box: Path, last: dict[str, int], failure: str) -> None:
    [said] = result(box, pauses=[*STEADY[:-1], look(0.6, **last)])["failures"]
    assert failure in said
