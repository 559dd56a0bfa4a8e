"""The disk of `make powercut` keeps what was flushed, nothing else for certain; what is lost is noticed."""

import struct
from pathlib import Path
from random import Random

import pytest

from tests.reliability.powercut.disk import Disk
from tests.reliability.powercut.promise import Promise

SECTOR = 512
FLUSH = None


def cut_disk(folder: Path, *written: tuple[int, bytes] | None) -> tuple[Disk, bytes]:
    """Return a disk of 64 sectors after these writes (sector, data) and flushes, and a cut."""
    disk = Disk(folder)
    disk.image.write_bytes(bytes(64 * SECTOR))
    disk.begin_log()
    log = struct.pack("<QQQI", 0x6A736677736872, 1, len(written), SECTOR).ljust(SECTOR, b"\0")
    for write in written:
        sector, data = write or (0, b"")
        head = struct.pack("<QQQQ", sector, len(data) // SECTOR, write is FLUSH, 0)
        log += head.ljust(SECTOR, b"\0") + data
    disk.log.write_bytes(log)
    disk.lose_power(Random(3))
    return disk, disk.image.read_bytes()


def test_what_was_flushed_survives_whatever_comes_after(tmp_path: Path) -> None:
    first, second, later = (bytes([value]) * SECTOR * 8 for value in (1, 2, 3))
    disk, image = cut_disk(tmp_path, (0, first), (8, second), FLUSH, (16, later))
    assert image[: 16 * SECTOR] == first + second
    assert 0 < disk.lost < 8


def test_without_a_flush_sectors_are_lost_and_the_others_are_whole(tmp_path: Path) -> None:
    disk, image = cut_disk(tmp_path, (0, b"\7" * SECTOR * 64))
    sectors = [image[at : at + SECTOR] for at in range(0, len(image), SECTOR)]
    assert set(sectors) == {b"\0" * SECTOR, b"\7" * SECTOR}
    assert sectors.count(b"\0" * SECTOR) == disk.lost


REPORT = {
    "visits": ["v1", "v2"],
    "read": ["v1"],
    "waiting": ["e2", "e3"],
    "pictures_missing": 0,
    "neither": 0,
    "problems": [],
}
NAMED = ("arrived v1", "arrived v2", "read v1", "delivering e1")


def held(**changes: object) -> list[str]:
    promise = Promise()
    for line in NAMED:
        promise.name(line)
    promise.hold({**REPORT, **changes})
    return promise.failures


def test_a_promise_that_was_held_has_no_failures() -> None:
    assert held() == []


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"visits": ["v1"], "waiting": ["e2"]}, "arrivals lost: 1"),
        ({"visits": ["v1", "v2", "v2"], "waiting": ["e2", "e3", "e4"]}, "arrivals doubled: 1"),
        ({"read": [], "waiting": ["e2"]}, "readings lost: 1"),
        ({"pictures_missing": 1}, "pictures of readings missing: 1"),
        ({"waiting": ["e2", "e2"]}, "events doubled: 1"),
        ({"waiting": ["e2"]}, "events unaccounted for: 1"),
        ({"neither": 1}, "arrivals neither delivered nor waiting: 1"),
        ({"problems": ["store: damaged"]}, "the store reports problems: 1"),
    ],
)
def test_each_way_to_break_the_promise_is_named(changes: dict[str, object], failure: str) -> None:
    [said] = held(**changes)
    assert failure in said
