"""The times of records: proven by anchors, bounded by other boots."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from store_parts import START, at, days, deliver_all, opened, reading

from edged.domain.timekeeping import Stamp

UNSET = datetime(1970, 1, 1, tzinfo=UTC)


def unset(monotonic_s: float, boot: str) -> Stamp:
    return Stamp(utc=UNSET, clock_synced=False, boot_id=boot, monotonic_s=monotonic_s)


def test_a_clock_set_while_no_car_passed_dates_the_records_after_a_reboot(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.drive_in("1001", "visit-000001", unset(50, "boot-1"), "sensor")
        store.keep_time(None, at(0), is_believed=True)  # monotonic 100
    with opened(tmp_path) as store:
        [event] = store.pending(10, unset(5, "boot-2"))

    assert event.body["clock_synced"] is True
    assert datetime.fromisoformat(event.body["observed_at"]) == START - timedelta(seconds=50)


def test_a_record_of_a_boot_that_never_knew_the_time_carries_its_bounds(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.keep_time(at(0), at(0), is_believed=True)
    with opened(tmp_path) as store:
        store.keep_time(None, unset(5, "boot-2"), is_believed=False)
        store.drive_in("1001", "visit-000001", unset(60, "boot-2"), "sensor")
    with opened(tmp_path) as store:
        later = Stamp(utc=START + timedelta(hours=2), clock_synced=True, boot_id="boot-3", monotonic_s=40)
        store.keep_time(later, later, is_believed=True)
        [event] = store.pending(10, later)

    assert event.body["clock_synced"] is False
    assert datetime.fromisoformat(event.body["not_before"]) == START + timedelta(seconds=60)
    assert datetime.fromisoformat(event.body["not_after"]) == START + timedelta(hours=2, seconds=-40)


def test_an_anchor_of_a_wrong_clock_is_replaced_once_the_time_is_known(tmp_path: Path) -> None:
    wrong = replace(at(0), utc=START + timedelta(days=400))
    with opened(tmp_path) as store:
        store.drive_in("1001", "visit-000001", unset(50, "boot-1"), "sensor")
        store.drive_in("1002", "visit-000002", wrong, "sensor")
        store.keep_time(at(60), at(60), is_believed=True)
        [first, _] = store.pending(10, unset(5, "boot-2"))

    assert datetime.fromisoformat(first.body["observed_at"]) == START - timedelta(seconds=50)


def test_the_known_time_survives_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert store.known_time() is None
        store.keep_time(at(60), at(60), is_believed=True)
    with opened(tmp_path) as store:
        assert store.known_time() == at(60)


def test_the_picture_of_a_vehicle_that_still_stands_there_outlives_its_age(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.drive_in("1001", "visit-000001", at(0), "sensor")
        store.commit_reading(reading("visit-000001"))
        deliver_all(store)

        assert store.evict(days(400)).counts == {}


def test_a_clock_that_jumps_ahead_within_a_boot_deletes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.drive_in("1001", "visit-000001", at(0), "sensor")
        store.commit_reading(reading("visit-000001"))
        store.drive_out("1001", "visit-000001", at(60), "sensor")
        deliver_all(store)
        jumped = replace(at(120), utc=START + timedelta(days=400))

        assert store.evict(jumped).counts == {}
        assert store.evict(days(31)).counts == {"evidence_by_age": 1}


def test_what_a_wrong_clock_dated_far_ahead_is_dated_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.drive_in("1001", "visit-000001", at(0), "sensor")
        store.commit_reading(reading("visit-000001", stamp=days(400)))
        store.drive_out("1001", "visit-000001", at(60), "sensor")
        deliver_all(store)
        store.evict(days(1))

        assert store.evict(days(32)).counts == {"evidence_by_age": 1}
