"""The outbox: events that the cloud does not know yet. Functions over one connection.

Those that write expect to run inside the store's transaction.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlite_utils import Database

from edged.domain.delivery import PendingEvent, fitting
from edged.domain.timekeeping import Bounds, Stamp
from edged.store.records import OutboxCounts, RejectedEvent, changed, packed, unpacked
from edged.wire import EventVerdict, Verdict

Correction = Callable[[Stamp], Stamp]
Bounding = Callable[[Stamp], Bounds]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to be sent; `body` is what its kind adds to the common fields."""

    event_id: str
    kind: str
    berth_no: str
    visit_id: str | None
    stamp: Stamp
    body: dict[str, Any]
    captured: Stamp | None = None
    evidence_sha256: str | None = None


def append(db: Database, event: NewEvent) -> None:
    """Put `event` at the end; one that is already there stays as it is."""
    db.execute(
        "INSERT OR IGNORE INTO outbox"
        " (event_id, kind, berth_no, visit_id, stamp, captured_stamp, body, evidence_sha256)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            event.event_id,
            event.kind,
            event.berth_no,
            event.visit_id,
            packed(event.stamp),
            packed(event.captured) if event.captured else None,
            json.dumps(event.body, ensure_ascii=False, allow_nan=False),
            event.evidence_sha256,
        ],
    )


def pending(
    db: Database, *, limit: int, max_bytes: int, fresh_only: bool, correct: Correction, bound: Bounding
) -> list[PendingEvent]:
    """Return the next batch: oldest first, those that the cloud asked to keep behind the others.

    `fresh_only` leaves the latter out.
    """
    sql = "SELECT * FROM outbox WHERE rejected_reason IS NULL AND"
    rows = list(db.query(f"{sql} attempts = 0 ORDER BY sequence LIMIT ?", [limit]))
    if len(rows) < limit and not fresh_only:
        rows += db.query(f"{sql} attempts > 0 ORDER BY attempts, sequence LIMIT ?", [limit - len(rows)])
    events = [_event_of(row, correct, bound) for row in rows]
    return events[: fitting([event.size_bytes for event in events], max_count=limit, max_bytes=max_bytes)]


def _event_of(row: dict[str, Any], correct: Correction, bound: Bounding) -> PendingEvent:
    observed = correct(unpacked(row["stamp"]))
    body = {
        "kind": row["kind"],
        "event_id": row["event_id"],
        "sequence": row["sequence"],
        "observed_at": observed.utc.isoformat(),
        "clock_synced": observed.clock_synced,
        "berth_no": row["berth_no"],
        "visit_id": row["visit_id"],
        **json.loads(row["body"]),
    }
    if not observed.clock_synced:
        between = bound(observed)
        body["not_before"] = between.not_before.isoformat() if between.not_before else None
        body["not_after"] = between.not_after.isoformat() if between.not_after else None
    if row["captured_stamp"]:
        body["captured_at"] = correct(unpacked(row["captured_stamp"])).utc.isoformat()
    # the common fields take about 250 bytes more than the stored body
    return PendingEvent(event_id=row["event_id"], body=body, size_bytes=len(row["body"].encode()) + 250)


def apply_verdicts(db: Database, verdicts: Iterable[EventVerdict]) -> None:
    """Forget what was accepted, set aside what was rejected, count what is to be kept."""
    for verdict in verdicts:
        match verdict.verdict:
            case Verdict.ACCEPTED:
                db.execute("DELETE FROM outbox WHERE event_id = ?", [verdict.event_id])
            case Verdict.REJECTED:
                reason = verdict.reason or "the cloud gave no reason"
                db.execute(
                    "UPDATE outbox SET rejected_reason = ?, set_aside_count = set_aside_count + 1"
                    " WHERE event_id = ?",
                    [reason, verdict.event_id],
                )
            case Verdict.KEEP:
                db.execute("UPDATE outbox SET attempts = attempts + 1 WHERE event_id = ?", [verdict.event_id])


def requeue(db: Database, event_id: str | None) -> int:
    """Send a rejected event (None: all of them) again; return how many."""
    where = "rejected_reason IS NOT NULL" + ("" if event_id is None else " AND event_id = ?")
    cursor = db.execute(
        f"UPDATE outbox SET rejected_reason = NULL, attempts = 0, set_aside_count = 0 WHERE {where}",
        [] if event_id is None else [event_id],
    )
    return changed(cursor)


def has_set_aside(db: Database, *, once_only: bool) -> bool:
    """Tell whether events are set aside; `once_only`: such as were so for the first time."""
    sql = f"SELECT 1 FROM outbox WHERE {_set_aside(once_only)} LIMIT 1"
    return db.execute(sql).fetchone() is not None


def try_set_aside(db: Database, *, once_only: bool) -> int:
    """Let the events that are set aside wait again; return how many."""
    sql = f"UPDATE outbox SET rejected_reason = NULL, attempts = 0 WHERE {_set_aside(once_only)}"
    return changed(db.execute(sql))


def _set_aside(once_only: bool) -> str:
    return "rejected_reason IS NOT NULL" + (" AND set_aside_count <= 1" if once_only else "")


def counts(db: Database) -> OutboxCounts:
    waiting = "FROM outbox WHERE rejected_reason IS NULL"
    oldest = db.execute(f"SELECT stamp {waiting} ORDER BY sequence LIMIT 1").fetchone()
    return OutboxCounts(
        waiting=_number(db, f"SELECT count(*) {waiting}"),
        oldest=unpacked(oldest[0]) if oldest else None,
        rejected=_number(db, "SELECT count(*) FROM outbox WHERE rejected_reason IS NOT NULL"),
        uploads=_number(db, "SELECT count(*) FROM upload"),
        dropped={row["cause"]: row["count"] for row in db.query("SELECT cause, count FROM drop_count")},
    )


def rejected(db: Database, limit: int) -> list[RejectedEvent]:
    """Return the rejected events, latest first."""
    rows = db.query(
        "SELECT * FROM outbox WHERE rejected_reason IS NOT NULL ORDER BY sequence DESC LIMIT ?", [limit]
    )
    return [
        RejectedEvent(
            sequence=row["sequence"],
            event_id=row["event_id"],
            kind=row["kind"],
            berth_no=row["berth_no"],
            stamp=unpacked(row["stamp"]),
            reason=row["rejected_reason"],
        )
        for row in rows
    ]


def want(db: Database, digests: Sequence[str]) -> None:
    """Queue pictures that the cloud asked for."""
    db.conn.executemany("INSERT OR IGNORE INTO upload (sha256) VALUES (?)", [[digest] for digest in digests])


def wanted(db: Database, limit: int) -> list[str]:
    rows = db.query("SELECT sha256 FROM upload ORDER BY attempts, sha256 LIMIT ?", [limit])
    return [row["sha256"] for row in rows]


def forget_wanted(db: Database, digest: str) -> None:
    db.execute("DELETE FROM upload WHERE sha256 = ?", [digest])


def postpone_wanted(db: Database, digest: str) -> None:
    db.execute("UPDATE upload SET attempts = attempts + 1 WHERE sha256 = ?", [digest])


def _number(db: Database, sql: str) -> int:
    value: int = db.execute(sql).fetchone()[0]
    return value
