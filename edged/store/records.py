"""What goes into the store and what comes out of it."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from edged.domain.reading import PlateReading
from edged.domain.timekeeping import Stamp
from edged.wire import DriveCause, ReadingView

_EVENTS = UUID("6b1f7f0e-8c0a-4a0e-9a55-6d6d3f5a2c11")  # any fixed value: the name space of event ids


def event_id_for(*parts: str) -> str:
    """Return the id of the event that `parts` name: the same when a commit is tried again."""
    return uuid5(_EVENTS, "\n".join(parts)).hex


def packed(stamp: Stamp) -> str:
    """Return `stamp` as its column holds it: a JSON array that sorts by time."""
    utc = stamp.utc.astimezone(UTC).isoformat(timespec="microseconds")
    return json.dumps([utc, int(stamp.clock_synced), stamp.boot_id, stamp.monotonic_s])


def unpacked(column: str) -> Stamp:
    utc, clock_synced, boot_id, monotonic_s = json.loads(column)
    return Stamp(
        utc=datetime.fromisoformat(utc),
        clock_synced=bool(clock_synced),
        boot_id=boot_id,
        monotonic_s=monotonic_s,
    )


def changed(cursor: sqlite3.Cursor) -> int:
    """Return how many rows the statement changed (the driver says -1 for none of its business)."""
    return max(0, int(cursor.rowcount))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReading:
    """A reading to be committed, None where no plate was found.

    `stamp` is when it was decided, `captured` when its picture was taken. `evidence_jpeg` None: no
    picture could be kept.
    """

    visit_id: str
    berth_no: str
    stamp: Stamp
    reading: PlateReading | None
    captured: Stamp
    model_version: str
    evidence_jpeg: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReading:
    """A committed reading, None where no plate was found."""

    event_id: str
    visit_id: str
    stamp: Stamp
    reading: PlateReading | None
    captured: Stamp
    model_version: str
    evidence_sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One vehicle in one berth. `left` None: still there. `reading` is the latest."""

    visit_id: str
    berth_no: str
    arrived: Stamp | None
    arrived_cause: DriveCause | None
    left: Stamp | None
    left_cause: DriveCause | None
    reading: StoredReading | None
    delivered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedEvent:
    """An event that the cloud will never accept, with its reason."""

    sequence: int
    event_id: str
    kind: str
    berth_no: str
    stamp: Stamp
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxCounts:
    """How full the outbox is. `dropped`: what was evicted since the box was set up, by cause."""

    waiting: int
    oldest: Stamp | None
    rejected: int
    uploads: int
    dropped: dict[str, int]


def view_of(row: Mapping[str, Any]) -> ReadingView:
    """Return what a `reading` row says. Raises ValueError for a row that a damaged page made."""
    columns = {name: row[name] for name in ReadingView.model_fields}
    return ReadingView.model_validate({**columns, "characters": json.loads(row["characters"])})


def reading_of(row: Mapping[str, Any]) -> StoredReading:
    """Return the reading of a `reading` row."""
    return StoredReading(
        event_id=row["event_id"],
        visit_id=row["visit_id"],
        stamp=unpacked(row["stamp"]),
        reading=view_of(row).reading(),
        captured=unpacked(row["captured_stamp"]),
        model_version=row["model_version"],
        evidence_sha256=row["evidence_sha256"],
    )
