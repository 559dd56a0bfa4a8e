"""Visits, readings and their events."""

import json
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from store_parts import START, at, deliver_all, opened, plate, reading

from edged.store import Archive, Store, StoreError, requeue_rejected
from edged.wire import EventVerdict, Reading, SnapshotTaken, Verdict
from edged.wire.events import DriveIn, DriveOut

VISIT = "visit-0001"


def bodies(store: Store) -> list[dict[str, object]]:
    return [event.body for event in store.pending(1000, at(3600))]


def test_a_visit_from_drive_in_to_drive_out(store: Store) -> None:
    store.drive_in("1001", VISIT, at(0), "sensor")
    digest = store.commit_reading(reading(VISIT))
    assert [visit.visit_id for visit in store.open_visits()] == [VISIT]
    store.drive_out("1001", VISIT, at(600), "swap")
    assert store.open_visits() == []
    (visit,) = store.visits()
    assert (visit.arrived, visit.left) == (at(0), at(600))
    assert visit.left_cause == "swap"
    assert not visit.delivered
    assert visit.reading is not None
    assert (visit.reading.reading, visit.reading.evidence_sha256) == (plate("京A12345"), digest)


def test_each_event_parses_as_the_wire_describes_it(store: Store) -> None:
    store.drive_in("1001", VISIT, at(0), "restart")
    store.commit_reading(reading(VISIT, 5))
    store.snapshot_taken("1001", None, at(7), "request-0001", None, "the camera is dark")
    store.drive_out("1001", VISIT, at(9), "sensor")
    arrived, read, snapshot, left = bodies(store)
    assert DriveIn.model_validate(arrived).cause == "restart"
    wire = Reading.model_validate(read)
    assert (wire.captured_at, wire.observed_at) == (at(5).utc, at(6).utc)
    assert wire.characters[-1] == 0.95
    assert SnapshotTaken.model_validate(snapshot).error == "the camera is dark"
    assert DriveOut.model_validate(left).visit_id == VISIT
    sequences = [int(str(body["sequence"])) for body in bodies(store)]
    assert sequences == sorted(set(sequences))


def test_a_commit_tried_again_changes_nothing(store: Store) -> None:
    for _ in range(2):
        store.drive_in("1001", VISIT, at(0), "sensor")
        store.commit_reading(reading(VISIT))
        store.drive_out("1001", VISIT, at(600), "sensor")
    assert len(bodies(store)) == 3
    deliver_all(store)
    store.drive_in("1001", VISIT, at(0), "sensor")
    store.commit_reading(reading(VISIT))
    store.drive_out("1001", VISIT, at(600), "sensor")
    assert bodies(store) == []


def test_the_latest_reading_of_a_visit_counts(store: Store) -> None:
    store.drive_in("1001", VISIT, at(0), "sensor")
    store.commit_reading(reading(VISIT, 1, reading=None))
    store.commit_reading(reading(VISIT, 9, reading=plate("京A54321")))
    latest = store.latest_reading(VISIT)
    assert latest is not None
    assert latest.reading == plate("京A54321")
    assert store.latest_reading("another-visit") is None


def test_visits_of_one_berth_newest_first(store: Store) -> None:
    for number in range(6):
        store.drive_in(f"100{number % 2}", f"visit-{number:04}", at(number), "sensor")
    assert [visit.visit_id for visit in store.visits(berth_no="1001")] == [
        "visit-0005",
        "visit-0003",
        "visit-0001",
    ]
    assert len(store.visits(limit=4)) == 4


def test_a_departure_of_a_visit_that_was_lost_is_still_reported(store: Store) -> None:
    store.drive_out("1001", VISIT, at(5), "sensor")
    assert [body["kind"] for body in bodies(store)] == ["drive_out"]
    assert store.visits()[0].arrived is None


def test_a_picture_lies_under_its_own_hash(store: Store) -> None:
    new = reading(VISIT)
    digest = store.commit_reading(new)
    assert digest == sha256(new.evidence_jpeg or b"").hexdigest()
    assert store.picture(digest) == new.evidence_jpeg


@pytest.mark.parametrize("name", ["", "../edged.db", "AB" * 32, "ab" * 31 + "/.", "a" * 63])
def test_no_name_leads_out_of_the_evidence_folder(name: str, store: Store) -> None:
    assert store.picture(name) is None


def test_times_recorded_before_the_clock_was_set_are_corrected_on_the_way_out(store: Store) -> None:
    store.drive_in("1001", VISIT, at(0, synced=False), "sensor")
    store.commit_reading(reading(VISIT, stamp=at(3, synced=False), captured=at(2, synced=False)))
    assert not any(event.body["clock_synced"] for event in store.pending(10, at(3600, synced=False)))
    # an hour later by the monotonic clock, but the wall clock has been set, and says a year later
    now = replace(at(3600), utc=START + timedelta(days=365))
    arrived, read = store.pending(10, now)
    assert arrived.body["clock_synced"] is True
    assert arrived.body["observed_at"] == (now.utc - timedelta(seconds=3600)).isoformat()
    assert read.body["captured_at"] == (now.utc - timedelta(seconds=3598)).isoformat()


def test_the_clock_of_an_earlier_boot_is_remembered(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.drive_in("1001", VISIT, at(0, synced=False), "sensor")
        store.drive_out("1001", VISIT, at(60), "sensor")  # set since, and proves the boot's clock
    with opened(tmp_path) as store:
        arrived, _ = store.pending(10, at(9999, boot="boot-2"))
        assert arrived.body["clock_synced"] is True
        assert arrived.body["observed_at"] == at(0).utc.isoformat()
        assert store.visits()[0].arrived == at(0)


def test_a_technician_sends_a_rejected_event_again_beside_the_daemon(store: Store) -> None:
    store.drive_in("1001", VISIT, at(0), "sensor")
    (event,) = store.pending(10, at())
    store.apply_verdicts(
        [EventVerdict(event_id=event.event_id, verdict=Verdict.REJECTED, reason="unknown berth")]
    )
    assert store.pending(10, at()) == []
    with Archive.open_existing(store.directory) as archive:
        (rejected,) = archive.rejected()
        assert (rejected.reason, rejected.kind) == ("unknown berth", "drive_in")
    assert requeue_rejected(store.directory, "another") == 0
    assert requeue_rejected(store.directory, event.event_id) == 1
    assert [again.event_id for again in store.pending(10, at())] == [event.event_id]


def test_an_event_refused_once_is_tried_at_the_next_chance_and_one_refused_twice_once_a_day(
    store: Store,
) -> None:
    store.drive_in("1001", "visit-0001", at(0), "sensor")
    [event] = store.pending(10, at())
    refused = [EventVerdict(event_id=event.event_id, verdict=Verdict.REJECTED, reason="no such berth")]
    store.apply_verdicts(refused)
    assert store.pending(10, at()) == []
    assert store.try_set_aside(once_only=True) == 1
    store.apply_verdicts(refused)
    assert (
        store.try_set_aside(once_only=True) == 0
    )  # the next chance comes with each batch: it is not for this one
    assert store.try_set_aside(once_only=False) == 1
    assert [again.event_id for again in store.pending(10, at())] == [event.event_id]


def test_kept_events_go_behind_fresh_ones(store: Store) -> None:
    for number in range(4):
        store.drive_in("1001", f"visit-{number:04}", at(number), "sensor")
    first, *_ = store.pending(10, at())
    store.apply_verdicts([EventVerdict(event_id=first.event_id, verdict=Verdict.KEEP)])
    assert store.pending(10, at())[-1].event_id == first.event_id
    assert len(store.pending(10, at(), fresh_only=True)) == 3


def test_a_batch_is_bounded_in_bytes(store: Store) -> None:
    for number in range(10):
        store.drive_in("1001", f"visit-{number:04}", at(number), "sensor")
    one_bytes = store.pending(1, at())[0].size_bytes
    assert len(store.pending(10, at(), max_bytes=3 * one_bytes)) == 3
    assert len(store.pending(10, at(), max_bytes=1)) == 1
    assert len(json.dumps(store.pending(1, at())[0].body)) <= one_bytes


def test_pictures_that_the_cloud_wants_queue_until_uploaded(store: Store) -> None:
    one, two = (store.commit_reading(reading(VISIT, seconds)) or "" for seconds in (1, 2))
    assert store.want_evidence([one, two, "f" * 64, "../x"]) == ("f" * 64, "../x")
    assert set(store.wanted_evidence(10)) == {one, two}
    first = store.wanted_evidence(1)[0]
    store.evidence_postponed(first)
    assert store.wanted_evidence(10)[-1] == first
    store.evidence_done(first)
    assert len(store.wanted_evidence(10)) == 1


def test_only_one_daemon_has_the_store(store: Store) -> None:
    with pytest.raises(StoreError, match="another edged uses this store"):
        opened(store.directory)


def test_commands_before_the_first_start_say_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no records yet"):
        Archive.open_existing(tmp_path)
    with pytest.raises(StoreError, match="no records yet"):
        requeue_rejected(tmp_path, None)
    assert list(tmp_path.iterdir()) == []
