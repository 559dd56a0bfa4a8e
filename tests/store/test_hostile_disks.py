"""Damaged files, full disks, read-only directories: a clear message, nothing silently lost."""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from store_parts import at, days, deliver_all, opened, plate, reading

from edged.store import Store, StoreError, StoreFullError, StoreReadOnlyError

DATABASE = "edged.db"


def arrive(store: Store, count: int, first: int = 0) -> list[str]:
    visit_ids = [f"visit-{number:06}" for number in range(first, first + count)]
    for number, visit_id in enumerate(visit_ids):
        store.drive_in("1001", visit_id, at(number), "sensor")
    return visit_ids


def damage(path: Path, offset: int, size: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(Random(3).randbytes(size))


def test_a_damaged_database_is_set_aside_whole_and_the_rest_of_it_taken_over(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        ids = arrive(store, 300)
        digest = store.commit_reading(reading(ids[0])) or ""
        last = int(store.pending(1000, at())[-1].body["sequence"])
    database = tmp_path / DATABASE
    damage(database, database.stat().st_size // 2, 8192)
    with opened(tmp_path) as store:
        (problem,) = store.problems
        assert "was damaged and is kept as edged.db.corrupt-" in problem.cause
        taken_over = {visit.visit_id for visit in store.visits(limit=1000)}
        assert len(taken_over) > 200
        assert len(store.pending(1000, at(), max_bytes=1 << 30)) > 200
        assert store.evidence.has(digest)
        arrive(store, 1, first=900)
        newest = max(store.pending(1000, at(), max_bytes=1 << 30), key=lambda event: event.body["sequence"])
        assert newest.body["visit_id"] == "visit-000900"
        assert newest.body["sequence"] > last
    assert len(list(tmp_path.glob("edged.db.corrupt-*"))) >= 1
    with opened(tmp_path) as store:  # said once; from now on it is an ordinary store
        assert store.problems == ()


def test_a_database_that_is_no_database_begins_afresh(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"\x00\xff garbage" * 1000)
    (tmp_path / f"{DATABASE}-wal").write_bytes(b"old wal")
    with opened(tmp_path) as store:
        assert len(store.problems) == 1
        arrive(store, 1)
    (damaged,) = (path for path in tmp_path.glob("edged.db.corrupt-*") if path.name.endswith("Z"))
    assert damaged.read_bytes().startswith(b"\x00\xff garbage")
    assert damaged.with_name(f"{damaged.name}-wal").read_bytes() == b"old wal"


def test_a_power_cut_while_a_damaged_database_is_replaced_loses_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        ids = arrive(store, 50)
    database = tmp_path / DATABASE
    sound = database.read_bytes()
    # cut while the rescue was being written: it is begun anew
    damage(database, 0, 16)
    (tmp_path / f"{DATABASE}.part").write_bytes(b"half a rescue")
    (tmp_path / f"{DATABASE}.part-wal").write_bytes(b"half a rescue")
    with opened(tmp_path) as store:
        assert len(store.problems) == 1
    # cut when the rescue was complete, but the damaged file had not moved, or had
    for moved in (False, True):
        database.unlink()
        (tmp_path / f"{DATABASE}.rescued").write_bytes(sound)
        if not moved:
            database.write_bytes(b"damaged")
        with opened(tmp_path) as store:
            assert [visit.visit_id for visit in reversed(store.visits(100))] == ids
            assert "50 visits and 50 waiting events" in store.problems[0].cause
    assert not (tmp_path / f"{DATABASE}.rescued").exists()


def test_any_damage_anywhere_leaves_a_store_that_works(tmp_path: Path) -> None:
    with opened(tmp_path / "sound") as store:
        arrive(store, 60)
    sound = (tmp_path / "sound" / DATABASE).read_bytes()
    rng = Random(11)
    for number in range(25):
        directory = tmp_path / f"damaged-{number}"
        directory.mkdir()
        (directory / DATABASE).write_bytes(sound)
        damage(directory / DATABASE, rng.randrange(len(sound)), rng.randrange(1, 6000))
        with opened(directory) as store:
            arrive(store, 1, first=1000)
            assert store.visits(limit=1)[0].visit_id == "visit-001000"


def test_a_database_of_a_newer_edged_is_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store._writer.write(lambda db: db.execute("PRAGMA user_version = 99"))
    with pytest.raises(StoreError, match="install the newer edged again"):
        opened(tmp_path)
    assert list(tmp_path.glob("*.corrupt-*")) == []


def fill(store: Store) -> int:
    """Fill the database with events that nobody has taken yet; return how many went in."""
    with pytest.raises(StoreFullError, match="no room left"):  # noqa: PT012  # whichever call it is
        for number in range(10_000):
            store.snapshot_taken("1001", None, at(number), f"request-{number:06}", None, "x" * 60_000)
    return number


def test_a_full_database_says_so_keeps_everything_and_recovers(tmp_path: Path) -> None:
    with opened(tmp_path, max_size_mib=16) as store:
        count = fill(store)
        assert count > 20
        (problem,) = store.problems
        assert problem.status == "failed"
        assert "no room left" in problem.cause
        assert store.counts().waiting == count
        deliver_all(store)
        arrive(store, 1)
        assert store.problems == ()
    with opened(tmp_path, max_size_mib=16) as store:
        assert [visit.visit_id for visit in store.visits()] == ["visit-000000"]


def test_a_database_full_of_delivered_visits_makes_room_by_itself(tmp_path: Path) -> None:
    with opened(tmp_path, max_size_mib=16) as store:
        for number in range(240):
            visit_id = f"visit-{number:06}"
            store.drive_in("1001", visit_id, at(number), "sensor")
            store.commit_reading(
                reading(visit_id, number, reading=plate("京A12345", (0.5,) * 4000), evidence_jpeg=None)
            )
            store.drive_out("1001", visit_id, at(number + 1), "sensor")
            deliver_all(store)
        assert store.problems == ()
        assert store.visits(limit=1)[0].visit_id == "visit-000239"
        assert store.counts().dropped["visits_by_size"] > 0


def test_what_is_too_old_goes_by_class_and_only_once_delivered(store: Store) -> None:
    store.drive_in("1001", "visit-0001", at(0), "sensor")
    digest = store.commit_reading(reading("visit-0001")) or ""
    store.drive_out("1001", "visit-0001", at(60), "sensor")
    assert store.evict(days(400)).counts == {}  # nothing is delivered yet
    deliver_all(store)
    assert store.evict(days(29)).counts == {}
    assert store.evict(days(31)).counts == {"evidence_by_age": 1}
    assert not store.evidence.has(digest)
    assert store.evict(days(89)).counts == {}
    assert store.evict(days(91)).counts == {"visits_by_age": 1}
    assert store.visits() == []
    assert store.latest_reading("visit-0001") is None
    assert store.counts().dropped == {"evidence_by_age": 1, "visits_by_age": 1}


def test_nothing_goes_by_age_while_the_clock_is_not_set(store: Store) -> None:
    store.drive_in("1001", "visit-0001", at(0), "sensor")
    store.drive_out("1001", "visit-0001", at(60), "sensor")
    deliver_all(store)
    assert store.evict(at(1e9, synced=False)).counts == {}


def test_age_counts_from_the_first_sound_clock_for_what_was_recorded_without(store: Store) -> None:
    store.drive_in("1001", "visit-0001", at(0, synced=False), "sensor")
    store.drive_out("1001", "visit-0001", at(60, synced=False), "sensor")
    deliver_all(store)
    assert store.evict(days(400)).counts == {}
    assert store.evict(days(491)).counts == {"visits_by_age": 1}


def test_an_open_visit_is_never_too_old(store: Store) -> None:
    store.drive_in("1001", "visit-0001", at(0), "sensor")
    deliver_all(store)
    store.evict(days(4000))
    assert len(store.open_visits()) == 1


def test_pictures_give_way_oldest_first_and_undelivered_last(tmp_path: Path) -> None:
    megabyte = b"\xff" * (1 << 20)
    digests: list[str] = []

    def keep(count: int) -> None:
        for n in range(len(digests), len(digests) + count):
            new = reading(f"visit-{n:04}", n, evidence_jpeg=bytes([n]) + megabyte)
            digests.append(store.commit_reading(new) or "")
            assert size_bytes(tmp_path) <= 16 << 20  # at any moment, not once a minute

    with opened(tmp_path, max_size_mib=16) as store:
        keep(10)
        deliver_all(store)
        keep(10)
        present = [store.evidence.has(digest) for digest in digests]
        count = present.index(True)
        assert 4 <= count <= 7
        assert present == [False] * count + [True] * (20 - count)
        assert store.counts().dropped == {"evidence_by_size": count}
        assert store.problems == ()
        keep(10)  # now even what the cloud has not heard of must go, and that is a problem
        assert store.counts().dropped["evidence_by_size_undelivered"] > 0
        assert "dropped before the cloud had their events" in store.problems[0].cause
        deliver_all(store)
        store.evict(at(200))  # the pass that finds the loss
        store.evict(at(260))  # and the one that finds no other
        assert store.problems == ()


def size_bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def test_a_full_disk_is_said_and_survived(small_disk: Path) -> None:
    filler = small_disk / "filler"
    with opened(small_disk / "store") as store:
        arrive(store, 3)
        with filler.open("wb", buffering=0) as file:
            file.write(bytes(shutil.disk_usage(small_disk).free - 150_000))
            # no room for a picture: the plate is kept without it
            assert store.commit_reading(reading("visit-000000", evidence_jpeg=bytes(200_000))) is None
            assert store.latest_reading("visit-000000") is not None
            assert "an evidence picture could not be kept" in store.problems[0].cause
            file.write(bytes(shutil.disk_usage(small_disk).free))
        with pytest.raises(StoreFullError, match="no room left"):
            arrive(store, 1000, first=10)
        assert any("df -h" in problem.remedy for problem in store.problems)
        acknowledged = {visit.visit_id for visit in store.visits(limit=1000)}
        filler.unlink()
        arrive(store, 1, first=5000)
    with opened(small_disk / "store") as store:
        assert acknowledged < {visit.visit_id for visit in store.visits(limit=2000)}


def test_on_a_disk_that_fills_while_running_own_pictures_make_room_and_no_visit_goes(
    small_disk: Path,
) -> None:
    with opened(small_disk / "store") as store:
        arrive(store, 3)
        digest = store.commit_reading(reading("visit-000000", evidence_jpeg=bytes(300_000))) or ""
        store.drive_out("1001", "visit-000000", at(60), "sensor")
        deliver_all(store)
        with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        arrive(store, 40, first=10)
        assert len(store.visits(limit=1000)) == 43  # the delivered ones too: they would have freed nothing
        assert not store.evidence.has(digest)
        assert store.counts().dropped.keys() == {"evidence_by_size"}


def test_a_disk_turned_read_only_is_said_and_survived(small_disk: Path) -> None:
    directory = small_disk / "store"
    with opened(directory) as store:
        arrive(store, 3)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreReadOnlyError, match="mounted read-write"):
        opened(directory)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    with opened(directory) as store:
        assert len(store.visits()) == 3


def test_on_a_full_disk_own_pictures_make_room_and_the_message_says_full(small_disk: Path) -> None:
    directory = small_disk / "store"
    with opened(directory) as store:
        (arrived,) = arrive(store, 1)
        for n in range(4):
            store.commit_reading(reading(f"visit-{n:04}", n, evidence_jpeg=bytes([n]) * 200_000))
    filler = small_disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free))
    with opened(directory) as store:
        assert arrived in {visit.visit_id for visit in store.visits()}
        arrive(store, 1, first=900)
        assert len(list(store.evidence.scan())) == 0
    for path in directory.glob("edged.db-*"):
        path.unlink()
    with filler.open("ab", buffering=0) as file:  # and with nothing left to drop
        file.write(bytes(shutil.disk_usage(small_disk).free))
    with pytest.raises(StoreFullError, match="the disk is full"):
        opened(directory)


def test_a_path_that_is_no_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"/file/store.*Not a directory"):
        opened(tmp_path / "file" / "store")
