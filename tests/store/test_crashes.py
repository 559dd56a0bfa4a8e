"""An arrival that was acknowledged is there after any crash, once."""

import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from store_parts import at, opened, reading

WRITER = Path(__file__).with_name("crashing_writer.py")
ROUNDS = 6


def killed_writer(directory: Path, round_no: int, lines_until_kill: int) -> list[str]:
    """Let a child write until it has said that many lines, kill -9 it, return all that it said."""
    process = subprocess.Popen(
        [sys.executable, str(WRITER), str(directory), str(round_no)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line.strip())
            if len(lines) == lines_until_kill:
                process.kill()
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
    assert process.returncode == -9
    return lines


def test_killed_at_random_points_every_acknowledged_arrival_is_there_once(tmp_path: Path) -> None:
    rng = Random(7)
    said: dict[str, set[str]] = {"arrived": set(), "read": set(), "delivering": set()}
    for round_no in range(ROUNDS):
        for line in killed_writer(tmp_path, round_no, rng.randrange(20, 400)):
            word, what = line.split()
            said[word].add(what)
        with opened(tmp_path) as store:
            assert store.problems == ()
            visits = store.visits(limit=100_000)
            ids = [visit.visit_id for visit in visits]
            assert len(ids) == len(set(ids))
            assert said["arrived"] <= set(ids)
            assert said["read"] <= {visit.visit_id for visit in visits if visit.reading}
            pictures = [visit.reading.evidence_sha256 for visit in visits if visit.reading]
            assert all(digest and store.evidence.has(digest) for digest in pictures)
            pending = store.pending(100_000, at(), max_bytes=1 << 30)
            waiting = {event.event_id for event in pending}
            assert len(waiting) == len(pending)
            # each visit's event either waits, or was given to the cloud
            undelivered = [visit for visit in visits if not visit.delivered]
            assert {visit.visit_id for visit in undelivered} <= {event.body["visit_id"] for event in pending}
            delivered_count = len(said["delivering"] - waiting)
            events_ever = len(visits) + len(pictures)
            assert len(waiting) + delivered_count == events_ever
            sequences = [event.body["sequence"] for event in pending]
            assert sequences == sorted(set(sequences))


@pytest.fixture
def crashed(tmp_path: Path) -> tuple[Path, list[str]]:
    """A copy of a store's files as a power cut leaves them: all in the WAL; and what was acknowledged."""
    directory = tmp_path / "alive"
    with opened(directory) as store:
        ids = [f"visit-{number:04}" for number in range(40)]
        for number, visit_id in enumerate(ids):
            store.drive_in("1001", visit_id, at(number), "sensor")
        copy = tmp_path / "crashed"
        shutil.copytree(directory, copy)
    return copy, ids


def visit_ids(directory: Path) -> list[str]:
    with opened(directory) as store:
        assert store.problems == ()
        return [visit.visit_id for visit in reversed(store.visits(limit=1000))]


def test_what_was_only_in_the_wal_is_there(crashed: tuple[Path, list[str]]) -> None:
    directory, ids = crashed
    assert visit_ids(directory) == ids


def test_a_half_written_transaction_at_the_end_of_the_wal_is_ignored(crashed: tuple[Path, list[str]]) -> None:
    directory, ids = crashed
    with (directory / "edged.db-wal").open("ab") as wal:
        wal.write(Random(1).randbytes(5000))
    assert visit_ids(directory) == ids


def test_a_torn_wal_loses_its_end_only(crashed: tuple[Path, list[str]], tmp_path: Path) -> None:
    directory, ids = crashed
    size = (directory / "edged.db-wal").stat().st_size
    rng = Random(2)
    for number in range(12):
        torn = tmp_path / f"torn-{number}"
        shutil.copytree(directory, torn)
        with (torn / "edged.db-wal").open("r+b") as wal:
            wal.truncate(rng.randrange(size // 2, size))
        found = visit_ids(torn)
        assert found == ids[: len(found)]
        assert len(found) >= len(ids) // 4


def test_a_picture_half_written_by_a_crash_is_cleared_away(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        digest = store.commit_reading(reading("visit-0001")) or ""
        path = store.evidence.path(digest)
    part = path.with_suffix(".part")
    part.write_bytes(b"half a pic")
    (path.parent / ("ab" * 32 + ".jpg")).write_bytes(b"written, but its reading was not committed")
    with opened(tmp_path) as store:
        assert not part.exists()
        assert path.exists()
        # the orphan is in retention's care
        assert store.evict(at(86400)).counts == {}
        assert store.evict(at(86400 * 32)).counts["evidence_by_age"] == 1
