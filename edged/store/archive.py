"""The store as read: by the daemon on a connection of its own, and by the technician's commands."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from sqlite_utils import Database

from edged.domain.reading_rate import ReadVisit
from edged.domain.timekeeping import Boot, Stamp, corrected
from edged.store import outbox
from edged.store.database import FILE_NAME, connect
from edged.store.errors import NoRecordsError, StoreError, corrupt, translated
from edged.store.evidence import EvidenceFolder
from edged.store.records import (
    OutboxCounts,
    RejectedEvent,
    StoredReading,
    Visit,
    reading_of,
    unpacked,
)
from edged.wire import DriveCause


class Archive:
    """Reads only, from any thread; never waits for the writer (WAL)."""

    def __init__(self, directory: Path, reader: Database | None) -> None:
        self.directory = directory
        self.path = directory / FILE_NAME
        self.evidence = EvidenceFolder(directory / "evidence")
        self._reader = reader  # None: not open
        self._reader_lock = Lock()

    @classmethod
    def open_existing(cls, directory: Path) -> "Archive":
        """Open the records of a daemon, running or not. Raises StoreError when there are none."""
        path = directory / FILE_NAME
        with translated(path):
            if not path.exists():
                raise _no_records(path)
            return Archive(directory, connect(path, read_only=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with self._reader_lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def visits(self, limit: int = 50, berth_no: str | None = None) -> list[Visit]:
        """Return the latest visits, newest first, each with its latest reading; times corrected if proven."""
        where, arguments = ("WHERE berth_no = ?", [berth_no]) if berth_no is not None else ("", [])
        return self._visits(f"{where} ORDER BY id DESC LIMIT ?", [*arguments, limit])

    def open_visits(self) -> list[Visit]:
        """Return the visits of vehicles that have not left, oldest first."""
        return self._visits("WHERE out_stamp IS NULL ORDER BY id", [])

    def latest_reading(self, visit_id: str) -> StoredReading | None:
        """Return the reading of a visit that counts."""
        with self._reading() as db:
            return _latest_reading(db, visit_id)

    def counts(self) -> OutboxCounts:
        with self._reading() as db:
            return outbox.counts(db)

    def rejected(self, limit: int = 100) -> list[RejectedEvent]:
        """Return the events that the cloud will never accept, latest first."""
        with self._reading() as db:
            return outbox.rejected(db, limit)

    def clock_anchors(self) -> dict[str, Stamp]:
        """Return, by boot id, the stamp that proves the time of what that boot recorded before."""
        with self._reading() as db:
            return _clock_anchors(db)

    def boots(self, anchors: Mapping[str, Stamp]) -> list[Boot]:
        """Return the box's runs, oldest first, each with its anchor."""
        with self._reading() as db:
            return [
                Boot(
                    boot_id=row["boot_id"],
                    not_before=datetime.fromisoformat(row["not_before"]) if row["not_before"] else None,
                    anchor=anchors.get(row["boot_id"]),
                )
                for row in db.query("SELECT * FROM boot ORDER BY id")
            ]

    def known_time(self) -> Stamp | None:
        """Return the last-known time as it was kept."""
        with self._reading() as db:
            row = db.execute("SELECT stamp FROM known_time").fetchone()
        return unpacked(row[0]) if row else None

    def read_visits(self, limit: int, now: Stamp, settled_s: float) -> list[ReadVisit]:
        """Return the latest visits and whether their plates were accepted, newest first.

        A vehicle that came less than `settled_s` ago may still be read, and is left out.
        """
        sql = (
            "SELECT berth_no, in_stamp, out_stamp IS NOT NULL AS has_left, (SELECT accepted FROM reading"
            " WHERE reading.visit_id = visit.visit_id ORDER BY reading.id DESC LIMIT 1) AS accepted"
            " FROM visit WHERE in_stamp IS NOT NULL ORDER BY id DESC LIMIT ?"
        )
        with self._reading() as db:
            return [
                ReadVisit(berth_no=row["berth_no"], accepted=bool(row["accepted"]))
                for row in db.query(sql, [limit])
                if row["has_left"] or not _is_recent(unpacked(row["in_stamp"]), now, settled_s)
            ]

    def picture(self, sha256: str) -> bytes | None:
        """Return an evidence picture, None when it is not here or cannot be read. Never leaves its folder."""
        return self.evidence.read(sha256)

    @contextmanager
    def _reading(self) -> Iterator[Database]:
        with self._reader_lock, translated(self.path):
            if self._reader is None:
                raise self._closed()
            try:
                yield self._reader
            except (ValueError, TypeError, KeyError) as error:  # what a damaged page may make of a row
                raise corrupt(self.path, error) from error

    def _closed(self) -> StoreError:
        """Return why there is no connection."""
        return StoreError(str(self.path), "the records are closed", "open them again")

    def _visits(self, tail: str, arguments: list[Any]) -> list[Visit]:
        sql = (
            "SELECT *, visit_id NOT IN (SELECT visit_id FROM outbox WHERE visit_id IS NOT NULL) AS delivered"
            f" FROM visit {tail}"
        )
        with self._reading() as db:
            rows = list(db.query(sql, arguments))
            anchors = _clock_anchors(db)
            return [_visit(row, _latest_reading(db, row["visit_id"]), anchors) for row in rows]


def _is_recent(stamp: Stamp, now: Stamp, within_s: float) -> bool:
    return stamp.boot_id == now.boot_id and now.monotonic_s - stamp.monotonic_s < within_s


def _latest_reading(db: Database, visit_id: str) -> StoredReading | None:
    sql = "SELECT * FROM reading WHERE visit_id = ? ORDER BY id DESC LIMIT 1"
    return next((reading_of(row) for row in list(db.query(sql, [visit_id]))), None)


def _clock_anchors(db: Database) -> dict[str, Stamp]:
    return {row["boot_id"]: unpacked(row["stamp"]) for row in db.query("SELECT * FROM clock_anchor")}


def _visit(row: dict[str, Any], reading: StoredReading | None, anchors: dict[str, Stamp]) -> Visit:
    def when(column: str | None) -> Stamp | None:
        if column is None:
            return None
        stamp = unpacked(column)
        return corrected(stamp, anchors.get(stamp.boot_id, stamp))

    return Visit(
        visit_id=row["visit_id"],
        berth_no=row["berth_no"],
        arrived=when(row["in_stamp"]),
        arrived_cause=DriveCause(row["in_cause"]) if row["in_cause"] else None,
        left=when(row["out_stamp"]),
        left_cause=DriveCause(row["out_cause"]) if row["out_cause"] else None,
        reading=reading,
        delivered=bool(row["delivered"]),
    )


def requeue_rejected(directory: Path, event_id: str | None) -> int:
    """Send a rejected event (None: all) again, beside a running daemon; return how many."""
    path = directory / FILE_NAME
    with translated(path):
        if not path.exists():
            raise _no_records(path)
        db = connect(path)
        try:
            with db.atomic():
                return outbox.requeue(db, event_id)
        finally:
            db.close()


def _no_records(path: Path) -> NoRecordsError:
    return NoRecordsError(str(path), "no records yet", "start the daemon with this config first (edged run)")
