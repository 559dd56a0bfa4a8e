"""Batches of events from a pole: exactly once in effect, one verdict per event.

One transaction takes the whole batch; what follows for orders is decided afterwards, from what was
committed, so that a slow order never holds up a pole.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, func, select, update

from cloud_endpoint import outages, registry
from cloud_endpoint.clock import to_ms
from cloud_endpoint.database import insert
from cloud_endpoint.tables import berth_assignments, berths, devices, events, readings, visits
from cloud_endpoint.visits import Visit, fold
from edged.wire import (
    WIRE_VERSION,
    BerthState,
    DriveIn,
    DriveOut,
    Event,
    EventVerdict,
    Reading,
    SnapshotTaken,
    SyncRequest,
    Verdict,
)

_EVENT: TypeAdapter[DriveIn | DriveOut | Reading | SnapshotTaken] = TypeAdapter(Event)
KINDS = frozenset({"drive_in", "drive_out", "reading", "snapshot"})
FUTURE_TOLERANCE_MS = 5 * 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What a batch came to: a verdict per event, berths where something changed, snapshots to judge."""

    verdicts: list[EventVerdict]
    berth_ids: set[str] = field(default_factory=set)
    snapshots: list[SnapshotTaken] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """An event that parsed, with its berth and its time by the cloud's clock."""

    event: DriveIn | DriveOut | Reading | SnapshotTaken
    berth_id: str
    observed_ms: int
    shift_ms: int


def ingest(
    connection: Connection, site_id: str, device_id: str, request: SyncRequest, now_ms: int, max_skew_ms: int
) -> Ingested:
    """Store a batch and return the verdicts, in the order of the events."""
    # One batch of a pole at a time: a pole that gave up waiting may already send the next.
    connection.execute(
        select(devices.c.device_id).where(devices.c.device_id == device_id).with_for_update()
    ).one()
    parsed, verdicts = _parse(request)
    shift_ms = _clock_shift(request, now_ms, max_skew_ms)
    placed = _place(
        connection, site_id, device_id, request, parsed, verdicts, now_ms=now_ms, shift_ms=shift_ms
    )
    known = _load_visits(connection, site_id, placed)
    for item in list(placed):
        visit = known.get(item.event.visit_id or "")
        if visit is not None and visit.device_id != device_id:
            placed.remove(item)
            verdicts[item.event.event_id] = (Verdict.REJECTED, "visit_id belongs to another pole")
    new = _only_new(connection, site_id, device_id, placed, now_ms)
    changed = _fold_all(known, new, device_id)
    _write_visits(connection, site_id, changed)
    _write_readings(connection, site_id, new, now_ms)
    touched = {visit.berth_id for visit in changed}
    touched |= _write_status(connection, site_id, device_id, request, now_ms)
    return Ingested(
        verdicts=[
            EventVerdict(event_id=event_id, verdict=verdict, reason=reason)
            for event_id, (verdict, reason) in verdicts.items()
        ],
        berth_ids=touched,
        snapshots=[item.event for item in new if isinstance(item.event, SnapshotTaken)],
    )


Verdicts = dict[str, tuple[Verdict, str | None]]


def _parse(request: SyncRequest) -> tuple[dict[str, DriveIn | DriveOut | Reading | SnapshotTaken], Verdicts]:
    parsed = {}
    verdicts: Verdicts = {}
    for raw in request.events:
        event_id = str(raw.get("event_id", ""))[:64]
        try:
            event = _EVENT.validate_python(raw)
        except ValidationError as exc:
            if raw.get("kind") not in KINDS and request.wire_version > WIRE_VERSION:
                verdicts[event_id] = (Verdict.KEEP, "newer than this cloud; send it again after its update")
                continue
            first = exc.errors()[0]
            at = ".".join(str(part) for part in first["loc"])
            verdicts[event_id] = (Verdict.REJECTED, f"{at}: {first['msg']}"[:200])
            continue
        parsed[event.event_id] = event
        verdicts[event.event_id] = (Verdict.ACCEPTED, None)
    return parsed, verdicts


def _clock_shift(request: SyncRequest, now_ms: int, max_skew_ms: int) -> int:
    """Return what to add to the pole's times: its clock is unset, or far from ours while it thinks not."""
    offset = now_ms - to_ms(request.sent_at)
    return 0 if request.clock_synced and abs(offset) <= max_skew_ms else offset


def _place(
    connection: Connection,
    site_id: str,
    device_id: str,
    request: SyncRequest,
    parsed: dict[str, DriveIn | DriveOut | Reading | SnapshotTaken],
    verdicts: Verdicts,
    *,
    now_ms: int,
    shift_ms: int,
) -> list[_Placed]:
    assigned = _assignments(connection, site_id, device_id)
    unknown = {event.berth_no for event in parsed.values()} - assigned.keys()
    foreign: set[str] = set()
    if unknown:
        foreign = set(registry.adopt(connection, site_id, device_id, unknown, now_ms))
        assigned = _assignments(connection, site_id, device_id)
    moved = _moved_away(connection, site_id, device_id, assigned)
    placed = []
    for event in parsed.values():
        if event.berth_no in foreign:
            reason = f"berth {event.berth_no} is registered for another pole"
            verdicts[event.event_id] = (Verdict.REJECTED, reason)
            continue
        # What a pole whose clock is unset now had recorded with a set one is right as it is.
        shift = 0 if event.clock_synced and not request.clock_synced else shift_ms
        observed_ms = min(to_ms(event.observed_at) + shift, now_ms + FUTURE_TOLERANCE_MS)
        berth_id = _berth_at(assigned[event.berth_no], observed_ms)
        if observed_ms >= moved.get(berth_id, observed_ms + 1):
            reason = f"berth {event.berth_no} was moved to another pole before this"
            verdicts[event.event_id] = (Verdict.REJECTED, reason)
            continue
        placed.append(_Placed(event=event, berth_id=berth_id, observed_ms=observed_ms, shift_ms=shift))
    return placed


def _moved_away(
    connection: Connection,
    site_id: str,
    device_id: str,
    assigned: dict[str, list[tuple[int, str]]],
) -> dict[str, int]:
    """Return since when berths that this pole once watched are another's."""
    own = {berth_id for assignments in assigned.values() for _, berth_id in assignments}
    a, b = berth_assignments.c, berths.c
    rows = connection.execute(
        select(b.berth_id, func.max(a.from_ms))
        .join(
            berth_assignments,
            (a.site_id == b.site_id) & (a.berth_id == b.berth_id) & (a.device_id == b.device_id),
        )
        .where(b.site_id == site_id, b.berth_id.in_(own), b.device_id != device_id)
        .group_by(b.berth_id)
    )
    return {berth_id: from_ms for berth_id, from_ms in rows}


def _assignments(connection: Connection, site_id: str, device_id: str) -> dict[str, list[tuple[int, str]]]:
    a = berth_assignments.c
    rows = connection.execute(
        select(a.berth_no, a.from_ms, a.berth_id)
        .where(a.site_id == site_id, a.device_id == device_id)
        .order_by(a.from_ms)
    )
    found: dict[str, list[tuple[int, str]]] = {}
    for berth_no, from_ms, berth_id in rows:
        found.setdefault(berth_no, []).append((from_ms, berth_id))
    return found


def _berth_at(assignments: Sequence[tuple[int, str]], at_ms: int) -> str:
    """Return the berth that the number meant then; before the first assignment, the first."""
    past = [berth_id for from_ms, berth_id in assignments if from_ms <= at_ms]
    return past[-1] if past else assignments[0][1]


def _load_visits(connection: Connection, site_id: str, placed: Iterable[_Placed]) -> dict[str, Visit]:
    ids = {item.event.visit_id for item in placed if item.event.visit_id}
    if not ids:
        return {}
    rows = connection.execute(
        select(visits).where(visits.c.site_id == site_id, visits.c.visit_id.in_(ids))
    ).mappings()
    return {row["visit_id"]: visit_of(row) for row in rows}


def visit_of(row: Any) -> Visit:
    """Return a row of `visits` as a Visit."""
    values = {key: row[key] for key in Visit.__slots__}
    values["characters"] = tuple(values["characters"] or ())
    return Visit(**values)


def _only_new(
    connection: Connection, site_id: str, device_id: str, placed: list[_Placed], now_ms: int
) -> list[_Placed]:
    if not placed:
        return []
    rows = [
        {
            "site_id": site_id,
            "device_id": device_id,
            "event_id": item.event.event_id,
            "kind": item.event.kind,
            "sequence": item.event.sequence,
            "observed_ms": item.observed_ms,
            "received_ms": now_ms,
            "visit_id": item.event.visit_id,
        }
        for item in placed
    ]
    # Rows as parameters: `values(rows)` would be compiled anew for each batch.
    statement = insert(connection, events).on_conflict_do_nothing().returning(events.c.event_id)
    fresh = set(connection.execute(statement, rows).scalars())
    return [item for item in placed if item.event.event_id in fresh]


def _fold_all(known: dict[str, Visit], new: Iterable[_Placed], device_id: str) -> list[Visit]:
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
        captured_ms = to_ms(event.captured_at) + item.shift_ms if isinstance(event, Reading) else 0
        changed[event.visit_id] = fold(visit, event, item.observed_ms, captured_ms)
    return list(changed.values())


def _write_visits(connection: Connection, site_id: str, changed: Sequence[Visit]) -> None:
    if not changed:
        return
    rows = [{"site_id": site_id, **asdict(visit), "characters": list(visit.characters)} for visit in changed]
    statement = insert(connection, visits)
    columns = [name for name in Visit.__slots__ if name not in ("visit_id", "berth_id", "device_id")]
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["site_id", "visit_id"],
            set_={name: getattr(statement.excluded, name) for name in columns},
        ),
        rows,
    )


def write_visit(connection: Connection, site_id: str, visit: Visit) -> None:
    """Store one visit as it is now."""
    _write_visits(connection, site_id, [visit])


def _write_readings(connection: Connection, site_id: str, new: Iterable[_Placed], now_ms: int) -> None:
    rows = [
        {
            "site_id": site_id,
            "visit_id": event.visit_id,
            "reading_id": event.event_id,
            "source": "event",
            "plate": event.plate,
            "plate_kind": event.plate_kind.value if event.plate_kind else None,
            "characters": list(event.characters),
            "accepted": event.accepted,
            "captured_ms": to_ms(event.captured_at) + item.shift_ms,
            "received_ms": now_ms,
            "evidence_sha256": event.evidence_sha256,
            "model_version": event.model_version[:64],
        }
        for item in new
        if isinstance(event := item.event, Reading)
    ]
    if rows:
        connection.execute(insert(connection, readings).on_conflict_do_nothing(), rows)


def _write_status(
    connection: Connection, site_id: str, device_id: str, request: SyncRequest, now_ms: int
) -> set[str]:
    """Store what the pole says of itself and its berths; returns the berths whose state changed."""
    connection.execute(
        update(devices)
        .where(devices.c.device_id == device_id)
        .values(
            last_sync_ms=now_ms,
            clock_offset_ms=now_ms - to_ms(request.sent_at),
            clock_synced=request.clock_synced,
            software_version=request.software_version[:64],
            health=request.health.status,
            problems=list(request.health.problems),
        )
    )
    own = (berths.c.site_id == site_id) & (berths.c.device_id == device_id)
    before = {
        row.berth_no: row
        for row in connection.execute(
            select(berths.c.berth_no, berths.c.berth_id, berths.c.state, berths.c.state_ms).where(own)
        )
    }
    touched = set()
    for status in request.berths:
        row = before.get(status.berth_no)
        if row is None or row.state == status.state.value:
            continue
        if row.state == BerthState.FAULT and row.state_ms is not None:
            outages.ended(connection, site_id, device_id, row.state_ms, now_ms, berth_id=row.berth_id)
        connection.execute(
            update(berths)
            .where(own, berths.c.berth_no == status.berth_no)
            .values(state=status.state.value, state_ms=now_ms)
        )
        touched.add(row.berth_id)
    return touched
