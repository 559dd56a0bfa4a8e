"""The rows of an arrival, a departure, a reading. Each function runs inside the writer's transaction."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from sqlite_utils import Database

from edged.domain.timekeeping import EARLIEST, Stamp, is_trusted
from edged.store import outbox
from edged.store.outbox import NewEvent
from edged.store.records import NewReading, event_id_for, packed, unpacked, view_of
from edged.wire import DriveCause, ReadingView, Snapshot


def drive_in(db: Database, berth_no: str, visit_id: str, stamp: Stamp, cause: DriveCause) -> None:
    """Open a visit; one that has its drive-in already stays as it is."""
    cursor = db.execute(
        "INSERT INTO visit (visit_id, berth_no, in_stamp, in_cause) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (visit_id) DO UPDATE SET in_stamp = excluded.in_stamp, in_cause = excluded.in_cause"
        " WHERE in_stamp IS NULL",
        [visit_id, berth_no, packed(stamp), cause],
    )
    if cursor.rowcount > 0:
        outbox.append(db, _drive("drive_in", berth_no, visit_id, stamp, cause))


def drive_out(db: Database, berth_no: str, visit_id: str, stamp: Stamp, cause: DriveCause) -> None:
    """Close a visit; one without a drive-in (lost with a damaged database) is recorded all the same."""
    cursor = db.execute(
        "INSERT INTO visit (visit_id, berth_no, out_stamp, out_cause, closed_utc) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (visit_id) DO UPDATE SET out_stamp = excluded.out_stamp,"
        " out_cause = excluded.out_cause, closed_utc = excluded.closed_utc WHERE out_stamp IS NULL",
        [visit_id, berth_no, packed(stamp), cause, _dated(stamp)],
    )
    if cursor.rowcount > 0:
        outbox.append(db, _drive("drive_out", berth_no, visit_id, stamp, cause))


def reading(db: Database, new: NewReading, sha256: str | None) -> None:
    """Record a reading, its picture and its event; the same reading again changes nothing."""
    text = new.reading.text if new.reading else ""
    event_id = event_id_for(
        "reading", new.visit_id, new.captured.boot_id, repr(new.captured.monotonic_s), text
    )
    said = ReadingView.of(new.reading).model_dump(mode="json")
    row = {
        "event_id": event_id,
        "visit_id": new.visit_id,
        "stamp": packed(new.stamp),
        "captured_stamp": packed(new.captured),
        **said,
        "characters": json.dumps(said["characters"]),
        "model_version": new.model_version,
        "evidence_sha256": sha256,
    }
    places = ", ".join(f":{name}" for name in row)
    cursor = db.execute(f"INSERT OR IGNORE INTO reading ({', '.join(row)}) VALUES ({places})", row)
    if cursor.rowcount <= 0:
        return
    # a visit lost with a damaged database gets a row again, so that its reading is seen and expires
    db.execute("INSERT OR IGNORE INTO visit (visit_id, berth_no) VALUES (?, ?)", [new.visit_id, new.berth_no])
    if sha256 is not None and new.evidence_jpeg is not None:
        db.execute(
            "INSERT OR IGNORE INTO evidence (sha256, size_bytes, stored_utc) VALUES (?, ?, ?)",
            [sha256, len(new.evidence_jpeg), _dated(new.stamp)],
        )
    outbox.append(db, _reading_event(new.berth_no, row))


def snapshot(
    db: Database,
    *,
    berth_no: str,
    visit_id: str | None,
    stamp: Stamp,
    request_id: str,
    taken: Snapshot | None,
    error: str | None,
) -> None:
    """Record the answer to a capture request."""
    body = {
        "request_id": request_id,
        "snapshot": taken.model_dump(mode="json") if taken else None,
        "error": error,
    }
    outbox.append(
        db,
        NewEvent(
            event_id=event_id_for("snapshot", request_id),
            kind="snapshot",
            berth_no=berth_no,
            visit_id=visit_id,
            stamp=stamp,
            evidence_sha256=taken.evidence_sha256 if taken else None,
            body=body,
        ),
    )


def pictures(db: Database, new: Sequence[tuple[str, int]], gone: Sequence[str]) -> None:
    """Record pictures (hash, size in bytes) found on disk, whose age counts from the next eviction.

    Forget those that are `gone` from there.
    """
    db.conn.executemany("INSERT OR IGNORE INTO evidence (sha256, size_bytes) VALUES (?, ?)", new)
    db.conn.executemany("DELETE FROM evidence WHERE sha256 = ?", [[digest] for digest in gone])


def clock_anchor(db: Database, stamp: Stamp) -> None:
    """Keep the first synchronised stamp of a boot: later ones prove no more."""
    if stamp.clock_synced and stamp.utc >= EARLIEST:
        db.execute("INSERT OR IGNORE INTO clock_anchor VALUES (?, ?)", [stamp.boot_id, packed(stamp)])


def certain_anchor(db: Database, stamp: Stamp) -> None:
    """Keep a stamp that is beyond doubt as its boot's anchor; one that contradicts it was a wrong clock's."""
    row = db.execute("SELECT stamp FROM clock_anchor WHERE boot_id = ?", [stamp.boot_id]).fetchone()
    if row is not None and not is_trusted(stamp, unpacked(row[0]), None):
        db.execute("DELETE FROM clock_anchor WHERE boot_id = ?", [stamp.boot_id])
    clock_anchor(db, stamp)


def known_time(db: Database, known: Stamp | None, now: Stamp) -> None:
    """Keep the last-known time. The first call in a boot records the boot with the time known before it."""
    before = db.execute("SELECT stamp FROM known_time").fetchone()
    not_before = unpacked(before[0]).utc.isoformat() if before else None
    db.execute("INSERT OR IGNORE INTO boot (boot_id, not_before) VALUES (?, ?)", [now.boot_id, not_before])
    if known is not None:
        db.execute(
            "INSERT INTO known_time (id, stamp) VALUES (1, ?)"
            " ON CONFLICT (id) DO UPDATE SET stamp = excluded.stamp",
            [packed(known)],
        )


def queue_again(db: Database, after_id: int, limit: int) -> int | None:
    """Queue every event of the next visits under its own id: which ones a damaged outbox has lost is unknown.

    One that waits already stays as it is, and the cloud ignores those that it knows. Return the `id` of
    the last of those visits, None when there is none after `after_id`.
    """
    visits = list(db.query("SELECT * FROM visit WHERE id > ? ORDER BY id LIMIT ?", [after_id, limit]))
    for visit in visits:
        berth_no, visit_id = visit["berth_no"], visit["visit_id"]
        if visit["in_stamp"] and visit["in_cause"]:
            arrived, cause = unpacked(visit["in_stamp"]), DriveCause(visit["in_cause"])
            outbox.append(db, _drive("drive_in", berth_no, visit_id, arrived, cause))
        for row in list(db.query("SELECT * FROM reading WHERE visit_id = ? ORDER BY id", [visit_id])):
            outbox.append(db, _reading_event(berth_no, row))
        if visit["out_stamp"] and visit["out_cause"]:
            left, cause = unpacked(visit["out_stamp"]), DriveCause(visit["out_cause"])
            outbox.append(db, _drive("drive_out", berth_no, visit_id, left, cause))
    return int(visits[-1]["id"]) if visits else None


def _reading_event(berth_no: str, row: Mapping[str, Any]) -> NewEvent:
    """Return the event of a row of `reading`."""
    return NewEvent(
        event_id=row["event_id"],
        kind="reading",
        berth_no=berth_no,
        visit_id=row["visit_id"],
        stamp=unpacked(row["stamp"]),
        captured=unpacked(row["captured_stamp"]),
        evidence_sha256=row["evidence_sha256"],
        body={
            **view_of(row).model_dump(mode="json"),
            "evidence_sha256": row["evidence_sha256"],
            "model_version": row["model_version"],
        },
    )


def _dated(stamp: Stamp) -> str | None:
    return stamp.utc.astimezone(UTC).isoformat() if stamp.clock_synced else None


def _drive(kind: str, berth_no: str, visit_id: str, stamp: Stamp, cause: DriveCause) -> NewEvent:
    return NewEvent(
        event_id=event_id_for(kind, visit_id),
        kind=kind,
        berth_no=berth_no,
        visit_id=visit_id,
        stamp=stamp,
        body={"cause": cause},
    )
