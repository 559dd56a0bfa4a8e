"""The berth and the time of a pole's event: berth numbers are reassigned, and clocks can be wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from cloud_endpoint.base.clock import to_ms
from cloud_endpoint.database.engine import padded
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import berth_assignments, berths
from cloud_endpoint.street import berth_changes
from edged.wire import DriveIn, DriveOut, Reading, SnapshotTaken, SyncRequest

PoleEvent = DriveIn | DriveOut | Reading | SnapshotTaken
FUTURE_TOLERANCE_MS = 5 * 60_000
MOST_NUMBERS = 64  # that one pole may use; none sees so many berths


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A berth that a pole watches or watched: its number since `from_ms`, and the berth as it is now."""

    berth_no: str
    from_ms: int
    berth_id: str
    current_no: str
    current_device_id: str | None
    state: str
    state_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An event with its berth, and its time by the cloud's clock."""

    event: PoleEvent
    berth_id: str
    observed_ms: int
    captured_ms: int  # of a reading's picture; otherwise as observed


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """What a batch's events mean; `refused` says why by event id, `watched` is all that the pole watches."""

    placed: list[Placed]
    refused: dict[str, str]
    watched: list[Watched]


def place(
    work: Work,
    site_id: str,
    device_id: str,
    request: SyncRequest,
    parsed: Sequence[PoleEvent],
) -> Placing:
    """Find the berth and the time of each event. Unregistered numbers become berths without a place."""
    shift_ms = _clock_shift(request, work.now_ms, round(work.settings.poles.max_clock_skew_s * 1000))
    watched = _watched(work.connection, site_id, device_id)
    not_ours: dict[str, str] = {}
    unknown = {event.berth_no for event in parsed} - {item.berth_no for item in watched}
    if unknown:
        not_ours = _adopt(work, site_id, device_id, unknown, len(watched))
        watched = _watched(work.connection, site_id, device_id)
    by_number: dict[str, list[Watched]] = {}
    for item in watched:
        by_number.setdefault(item.berth_no, []).append(item)
    moved = _moved_away(work.connection, site_id, device_id, watched)
    placed, refused = [], {}
    for event in parsed:
        if event.berth_no in not_ours:
            refused[event.event_id] = not_ours[event.berth_no]
            continue
        # What a pole whose clock is unset now had recorded with a set one is right as it is.
        shift = 0 if event.clock_synced and not request.clock_synced else shift_ms
        observed_ms = captured_ms = _believable(to_ms(event.observed_at) + shift, work.now_ms)
        if isinstance(event, Reading):
            captured_ms = _believable(to_ms(event.captured_at) + shift, work.now_ms)
        berth_id = _berth_at(by_number[event.berth_no], observed_ms)
        if observed_ms >= moved.get(berth_id, observed_ms + 1):
            refused[event.event_id] = f"berth {event.berth_no} was moved to another pole before this"
            continue
        placed.append(
            Placed(event=event, berth_id=berth_id, observed_ms=observed_ms, captured_ms=captured_ms)
        )
    return Placing(placed=placed, refused=refused, watched=watched)


def _believable(at_ms: int, now_ms: int) -> int:
    """Return a time that is neither before 1970 nor far in the future: later events must come after it."""
    return max(0, min(at_ms, now_ms + FUTURE_TOLERANCE_MS))


def _clock_shift(request: SyncRequest, now_ms: int, max_skew_ms: int) -> int:
    """Return what to add to the pole's times: its clock is unset, or far from ours while it thinks not."""
    offset = now_ms - to_ms(request.sent_at)
    return 0 if request.clock_synced and abs(offset) <= max_skew_ms else offset


def _watched(connection: Connection, site_id: str, device_id: str) -> list[Watched]:
    a, b = berth_assignments.c, berths.c
    rows = connection.execute(
        select(
            a.berth_no,
            a.from_ms,
            a.berth_id,
            b.berth_no.label("current_no"),
            b.device_id.label("current_device_id"),
            b.state,
            b.state_ms,
        )
        .join(berths, (b.site_id == a.site_id) & (b.berth_id == a.berth_id))
        .where(a.site_id == site_id, a.device_id == device_id)
        .order_by(a.from_ms)
    )
    return [Watched(**row) for row in rows.mappings()]


def _adopt(work: Work, site_id: str, device_id: str, unknown: set[str], known: int) -> dict[str, str]:
    """Register the unregistered numbers that the pole uses; returns why some are refused."""
    room = max(0, MOST_NUMBERS - known)
    taken, refused = sorted(unknown)[:room], sorted(unknown)[room:]
    foreign = berth_changes.adopt(work.connection, site_id, device_id, taken, work.now_ms)
    return {
        **{number: f"berth {number} is registered for another pole" for number in foreign},
        **{
            number: f"berth {number} is unknown, and this pole uses {known} others: edged-cloud load"
            for number in refused
        },
    }


def _moved_away(
    connection: Connection, site_id: str, device_id: str, watched: Iterable[Watched]
) -> dict[str, int]:
    """Return since when berths that this pole once watched are another's."""
    gone = {item.berth_id for item in watched if item.current_device_id not in (None, device_id)}
    if not gone:
        return {}
    a, b = berth_assignments.c, berths.c
    rows = connection.execute(
        select(b.berth_id, func.max(a.from_ms))
        .join(
            berth_assignments,
            (a.site_id == b.site_id) & (a.berth_id == b.berth_id) & (a.device_id == b.device_id),
        )
        .where(b.site_id == site_id, b.berth_id.in_(padded(gone)))
        .group_by(b.berth_id)
    )
    return {berth_id: from_ms for berth_id, from_ms in rows}


def _berth_at(assignments: Sequence[Watched], at_ms: int) -> str:
    """Return the berth that the number meant then; before the first assignment, the first."""
    past = [item.berth_id for item in assignments if item.from_ms <= at_ms]
    return past[-1] if past else assignments[0].berth_id
