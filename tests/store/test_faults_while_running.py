"""What breaks while the store is open: noticed at the first error, mended without a restart."""

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest
from store_parts import at, deliver_all, opened, reading

from edged.settings import StoreSettings
from edged.store import Store, StoreError

DATABASE = "edged.db"


def visits_with_all_events(store: Store, count: int) -> list[str]:
    """Record `count` whole visits; return the ids of their events."""
    for number in range(count):
        visit_id = f"visit-{number:06}"
        store.drive_in("1001", visit_id, at(number), "sensor")
        store.commit_reading(reading(visit_id, number, evidence_jpeg=None))
        store.drive_out("1001", visit_id, at(number + 0.5), "sensor")
    return waiting(store)


def waiting(store: Store) -> list[str]:
    return [event.event_id for event in store.pending(100_000, at(), max_bytes=1 << 30)]


def damage_table(path: Path, name: str, seed: int = 3) -> None:
    """Overwrite half of the pages of a table in the database file, and drop what waits in its WAL."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = [row[0] for row in db.execute("SELECT pageno FROM dbstat WHERE name = ?", [name])]
        page_size = db.execute("PRAGMA page_size").fetchone()[0]
    rng = Random(seed)
    with path.open("r+b") as file:
        for page in pages[1 : len(pages) : 2]:
            file.seek((page - 1) * page_size)
            file.write(rng.randbytes(page_size))


def has_dbstat() -> bool:
    with closing(sqlite3.connect(":memory:")) as db:
        try:
            db.execute("SELECT * FROM dbstat LIMIT 1")
        except sqlite3.OperationalError:
            return False
    return True


needs_dbstat = pytest.mark.skipif(not has_dbstat(), reason="this SQLite has no dbstat table")


def mended(store: Store) -> None:
    """Use the store until it notices the damage; let it mend itself as the daemon does."""
    with pytest.raises(StoreError, match="the database is damaged"):
        waiting(store)
    assert store.needs_opening.is_set()
    (problem,) = store.problems
    assert problem.status == "failed"
    assert "the database is damaged" in problem.cause
    store.reopen()


@needs_dbstat
def test_a_damaged_page_is_noticed_at_the_first_error_and_salvaged_at_once(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        visits_with_all_events(store, 200)
        damage_table(tmp_path / DATABASE, "outbox")
        mended(store)
        store.drive_in("1002", "visit-900000", at(900), "sensor")
        assert "visit-900000" in {visit.visit_id for visit in store.open_visits()}
        (problem,) = store.problems
        assert problem.status == "degraded"
        assert "was damaged and is kept as edged.db.corrupt-" in problem.cause


@needs_dbstat
def test_the_cloud_gets_every_event_of_a_visit_that_survived_damage(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        events = visits_with_all_events(store, 200)
        damage_table(tmp_path / DATABASE, "outbox")
        mended(store)
        assert len(store.visits(limit=1000)) == 200
        assert set(waiting(store)) == set(events)  # under their own ids
        again = {event.event_id: event.body for event in store.pending(1000, at(), max_bytes=1 << 30)}
        assert again[events[1]]["plate"] == "京A12345"


def test_a_row_that_makes_no_sense_is_damage_too(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        visits_with_all_events(store, 20)
        with closing(sqlite3.connect(tmp_path / DATABASE)) as db, db:
            db.execute(
                "UPDATE outbox SET stamp = '[garbage', body = CAST(x'ff00ff' AS TEXT) WHERE sequence % 7 = 0"
            )
        mended(store)
        assert len(waiting(store)) == 60


def test_a_database_deleted_while_it_is_open_is_written_again(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        events = visits_with_all_events(store, 20)
        for path in tmp_path.glob(f"{DATABASE}*"):
            path.unlink()
        store.look_at_file()
        assert "was deleted while edged ran" in store.problems[0].cause
        store.drive_in("1002", "visit-900000", at(900), "sensor")  # nothing is lost meanwhile
        store.reopen()
        assert "was deleted; 21 visits" in store.problems[0].cause
        assert set(events) < set(waiting(store))
        store.look_at_file()
        assert not store.needs_opening.is_set()
    with opened(tmp_path) as store:
        assert len(store.visits()) == 21


def test_a_store_whose_folder_was_deleted_is_written_again(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        visits_with_all_events(store, 3)
        shutil.rmtree(tmp_path / "store")
        store.look_at_file()
        store.reopen()
        assert len(store.visits()) == 3
        with pytest.raises(StoreError, match="another edged uses this store"):
            opened(tmp_path / "store")


class Interrupted(Exception):
    """The daemon was told to stop while it salvaged."""


@needs_dbstat
def test_a_salvage_that_is_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        events = visits_with_all_events(store, 1500)
        settings = StoreSettings(directory=tmp_path)
    damage_table(tmp_path / DATABASE, "outbox")
    steps = tries = 0

    def interrupt_each_third_step() -> None:
        nonlocal steps
        steps += 1
        if steps % 3 == 0:
            raise Interrupted

    with Store(settings) as store:
        while not store.is_open:
            tries += 1
            with suppress(Interrupted):
                store.reopen(interrupt_each_third_step)
        assert tries > 2
        assert steps <= 25  # 500 rows a step; begun anew at each try, it would never end
        assert set(waiting(store)) == set(events)


def test_a_picture_that_the_disk_does_not_give_is_skipped_and_named(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        bad, good = (store.commit_reading(reading("visit-0001", seconds)) or "" for seconds in (1, 2))
        deliver_all(store)
        path = store.evidence.path(bad)
        path.unlink()
        path.symlink_to("/proc/self/mem")  # a file whose reading is an I/O error
        assert store.picture(bad) is None
        assert store.picture(good)
        (problem,) = store.problems
        assert (problem.where, problem.status) == ("evidence", "degraded")
        assert str(path) in problem.cause
        assert "Input/output error" in problem.cause
        path.unlink()
        store.evict(at(100))
        assert store.picture(bad) is None
        path.write_bytes(b"whole again")
        assert store.picture(bad) == b"whole again"
        assert store.problems == ()


def test_a_picture_that_the_disk_gives_again_is_no_trouble_and_may_go_for_its_age(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        bad = store.commit_reading(reading("visit-0001", 1)) or ""
        path = store.evidence.path(bad)
        whole = path.read_bytes()
        path.unlink()
        path.symlink_to("/proc/self/mem")
        assert store.picture(bad) is None
        store.evict(at(100))
        assert store.evidence.refuses(bad)
        path.unlink()
        path.write_bytes(whole)
        store.evict(at(100))
        assert not store.evidence.refuses(bad)
        assert store.problems == ()


def test_a_folder_or_an_inode_that_the_disk_does_not_give_hinders_nothing(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as store:
        digests = [store.commit_reading(reading("visit-0001", seconds)) or "" for seconds in range(4)]
    for digest in digests[:2]:
        path = store.evidence.path(digest)
        path.unlink()
        path.symlink_to(path)  # every look at it is an error (ELOOP)
    folder = store.evidence.path(digests[2]).parent
    shutil.rmtree(folder)
    folder.symlink_to(folder)
    with opened(tmp_path) as store:
        assert "3 evidence files are skipped" in store.problems[0].cause
        assert store.picture(digests[3])
        deliver_all(store)
        store.evict(at(400 * 86400.0))
        store.drive_in("1001", "visit-0002", at(), "sensor")
        assert len(store.visits()) == 2
