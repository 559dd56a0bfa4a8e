"""Batches of events from a pole: exactly once in effect, one verdict per event.

One transaction takes the whole batch; what follows for orders is decided afterwards, from what was
committed, so that a slow order never holds up a pole.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from sqlalchemy import Connection, select

from cloud_endpoint.database.engine import insert_all, padded
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import events, readings, visits
from cloud_endpoint.poles.event_placement import Placed, PoleEvent, place
from cloud_endpoint.poles.status import write_status
from cloud_endpoint.poles.visits import Visit, columns_of, fold
from cloud_endpoint.records import audit
from edged.wire import (
    WIRE_VERSION,
    Event,
    EventVerdict,
    Reading,
    SnapshotTaken,
    SyncRequest,
    Verdict,
)

log = logging.getLogger(__name__)

_EVENT: TypeAdapter[PoleEvent] = TypeAdapter(Event)
KINDS = frozenset({"drive_in", "drive_out", "reading", "snapshot"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """The outcome of a batch: a verdict per event, the berths that it concerns, snapshots to judge."""

    verdicts: list[EventVerdict]
    berth_ids: set[str] = field(default_factory=set)
    snapshots: list[SnapshotTaken] = field(default_factory=list)


def ingest(work: Work, site_id: str, device_id: str, request: SyncRequest) -> Ingested:
    """Store a batch and return the verdicts, in the order of the events.

    The pole's row is locked by the caller: one batch of a pole at a time, for a pole that gave up waiting
    may already send the next.
    """
    parsed, verdicts = _parse(request)
    placing = place(work, site_id, device_id, request, list(parsed.values()))
    refused = dict(placing.refused)
    known = _load_visits(work.connection, site_id, placing.placed)
    placed = []
    for item in placing.placed:
        visit = known.get(item.event.visit_id or "")
        if visit is not None and visit.device_id != device_id:
            refused[item.event.event_id] = "visit_id belongs to another pole"
        else:
            placed.append(item)
    verdicts |= {event_id: (Verdict.REJECTED, reason) for event_id, reason in refused.items()}
    new = _only_new(work, site_id, device_id, placed)
    folded = _fold_all(known, new, device_id)
    _write_visits(work.connection, site_id, folded)
    _flag_long_stays(work, site_id, device_id, known, folded)
    _write_readings(work, site_id, new)
    changed = write_status(work, site_id, device_id, request, placing.watched)
    return Ingested(
        verdicts=[
            EventVerdict(event_id=event_id, verdict=verdict, reason=reason)
            for event_id, (verdict, reason) in verdicts.items()
        ],
        # Known events count too: the worker that got them first may have died before it decided the orders.
        berth_ids={item.berth_id for item in placed} | changed,
        snapshots=[item.event for item in placed if isinstance(item.event, SnapshotTaken)],
    )


Verdicts = dict[str, tuple[Verdict, str | None]]


def _parse(request: SyncRequest) -> tuple[dict[str, PoleEvent], Verdicts]:
    parsed = {}
    verdicts: Verdicts = {}
    for raw in request.events:
        try:
            event = _EVENT.validate_python(raw)
        except ValidationError as exc:
            verdicts[_named(raw)] = _refusal(raw, request, exc)
            continue
        fault = _unstorable(event)
        if fault is not None:
            verdicts[event.event_id] = (Verdict.REJECTED, fault)
            continue
        parsed[event.event_id] = event
        verdicts[event.event_id] = (Verdict.ACCEPTED, None)
    return parsed, verdicts


def _named(raw: dict[str, Any]) -> str:
    """Return the id of an event that is not right, as far as it can be sent back."""
    return str(raw.get("event_id", ""))[:64].encode(errors="replace").decode()


def _refusal(raw: dict[str, Any], request: SyncRequest, exc: ValidationError) -> tuple[Verdict, str]:
    if str(raw.get("kind")) not in KINDS and request.wire_version > WIRE_VERSION:
        return Verdict.KEEP, "newer than this cloud; send it again after its update"
    first = exc.errors(include_url=False, include_input=False)[0]
    at = ".".join(str(part) for part in first["loc"])
    return Verdict.REJECTED, f"{at}: {first['msg']}"[:200].encode(errors="replace").decode()


def _unstorable(event: PoleEvent) -> str | None:
    """Return what no database takes, though the grammar of events does."""
    if event.sequence >= 2**63:
        return "sequence: has more than 63 bits"
    try:
        if "\\u0000" in event.model_dump_json():
            return "a text has a NUL character"
    except PydanticSerializationError:
        return "a text has half a surrogate pair"
    return None


def _load_visits(connection: Connection, site_id: str, placed: Iterable[Placed]) -> dict[str, Visit]:
    ids = {item.event.visit_id for item in placed if item.event.visit_id}
    if not ids:
        return {}
    rows = connection.execute(
        select(visits).where(visits.c.site_id == site_id, visits.c.visit_id.in_(padded(ids)))
    ).mappings()
    return {row["visit_id"]: visit_of(row) for row in rows}


def visit_of(row: Any) -> Visit:
    """Return a row of `visits` as a Visit."""
    values = {key: row[key] for key in Visit.__slots__}
    values["characters"] = tuple(values["characters"] or ())
    return Visit(**values)


def _only_new(work: Work, site_id: str, device_id: str, placed: list[Placed]) -> list[Placed]:
    rows = [
        {
            "site_id": site_id,
            "device_id": device_id,
            "event_id": item.event.event_id,
            "kind": item.event.kind,
            "sequence": item.event.sequence,
            "observed_ms": item.observed_ms,
            "received_ms": work.now_ms,
            "visit_id": item.event.visit_id,
        }
        for item in placed
    ]
    fresh = set(insert_all(work.connection, events, rows, skipping=True, returning="event_id"))
    return [item for item in placed if item.event.event_id in fresh]


def _fold_all(known: dict[str, Visit], new: Iterable[Placed], device_id: str) -> list[Visit]:
    changed: dict[str, Visit] = {}
    for item in new:
        event = item.event
        if isinstance(event, SnapshotTaken):
            continue
        visit = changed.get(event.visit_id) or known.get(event.visit_id)
        if visit is None:
            visit = Visit(
                visit_id=event.visit_id,
                berth_id=item.berth_id,
                device_id=device_id,
                seen_ms=item.observed_ms,
            )
        folded = fold(visit, event, item.observed_ms, item.captured_ms)
        changed[event.visit_id] = replace(folded, time_unsure=folded.time_unsure or item.time_unsure)
    return list(changed.values())


def _flag_long_stays(
    work: Work, site_id: str, device_id: str, known: dict[str, Visit], folded: Iterable[Visit]
) -> None:
    """Leave a line in the audit for each visit that turns out longer than a vehicle stays."""
    limit_ms = work.settings.poles.longest_stay_h * 3_600_000
    for visit in folded:
        before = known.get(visit.visit_id)
        if visit.stay_ms > limit_ms and (before is None or before.stay_ms <= limit_ms):
            hours = visit.stay_ms // 3_600_000
            log.warning("long stay device=%s visit=%s hours=%d", device_id, visit.visit_id, hours)
            audit.append(
                work.connection,
                site_id,
                actor=device_id,
                action="long_stay",
                subject=visit.visit_id,
                now_ms=work.now_ms,
                hours=hours,
            )


_FOLDED = tuple(name for name in Visit.__slots__ if name not in ("visit_id", "berth_id", "device_id"))


def _write_visits(connection: Connection, site_id: str, changed: Sequence[Visit]) -> None:
    rows = [{"site_id": site_id, **asdict(visit), "characters": list(visit.characters)} for visit in changed]
    insert_all(connection, visits, rows, replacing=_FOLDED)


def write_visit(connection: Connection, site_id: str, visit: Visit) -> None:
    """Store one visit as it is now."""
    _write_visits(connection, site_id, [visit])


def _write_readings(work: Work, site_id: str, new: Iterable[Placed]) -> None:
    rows = [
        {
            "site_id": site_id,
            "visit_id": event.visit_id,
            "reading_id": event.event_id,
            "source": "event",
            **columns_of(event),
            "captured_ms": item.captured_ms,
            "received_ms": work.now_ms,
            "evidence_sha256": event.evidence_sha256,
            "model_version": event.model_version[:64],
        }
        for item in new
        if isinstance(event := item.event, Reading)
    ]
    insert_all(work.connection, readings, rows, skipping=True)
