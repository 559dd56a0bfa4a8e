"""The berth and the time of a pole's event: berth numbers are reassigned, and clocks can be wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from cloud_endpoint.base.clock import to_ms
from cloud_endpoint.database.engine import padded
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import berth_assignments, berths
from cloud_endpoint.street import berth_changes
from edged.domain.timekeeping import EARLIEST
from edged.wire import DriveIn, DriveOut, Reading, SnapshotTaken, SyncRequest

PoleEvent = DriveIn | DriveOut | Reading | SnapshotTaken
FUTURE_TOLERANCE_MS = 5 * 60_000
EARLIEST_MS = to_ms(EARLIEST)
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
    time_unsure: bool = False  # of a boot that never knew the time: placed inside its bounds


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
        is_unsure = _is_unsure(event, request)
        shift = _shift_of(event, request, shift_ms, work.now_ms, is_unsure=is_unsure)
        observed_ms = captured_ms = _believable(to_ms(event.observed_at) + shift, work.now_ms)
        if isinstance(event, Reading):
            captured_ms = _believable(to_ms(event.captured_at) + shift, work.now_ms)
        if observed_ms < EARLIEST_MS:
            at = event.observed_at.isoformat()
            refused[event.event_id] = f"observed_at: {at} is before 2020; set the pole's clock"
            continue
        berth_id = _berth_at(by_number[event.berth_no], observed_ms)
        if observed_ms >= moved.get(berth_id, observed_ms + 1):
            refused[event.event_id] = f"berth {event.berth_no} was moved to another pole before this"
            continue
        placed.append(
            Placed(
                event=event,
                berth_id=berth_id,
                observed_ms=observed_ms,
                captured_ms=captured_ms,
                time_unsure=is_unsure,
            )
        )
    return Placing(placed=placed, refused=refused, watched=watched)


def _is_unsure(event: PoleEvent, request: SyncRequest) -> bool:
    """Tell whether a boot recorded this whose clock was never set, so that no offset makes it right."""
    has_bounds = event.not_before is not None or event.not_after is not None
    return not event.clock_synced and (request.clock_synced or has_bounds)


def _shift_of(event: PoleEvent, request: SyncRequest, shift_ms: int, now_ms: int, *, is_unsure: bool) -> int:
    """Return what to add to the event's times."""
    if is_unsure:
        return _within_bounds(event, now_ms) - to_ms(event.observed_at)
    # What a pole whose clock is unset now had recorded with a set one is right as it is.
    return 0 if event.clock_synced and not request.clock_synced else shift_ms


def _within_bounds(event: PoleEvent, now_ms: int) -> int:
    """Return a time between the event's bounds. A pole that sends none gets the time of its receipt.

    The earliest possible time is chosen: a reading then counts as older than it is, never as newer.
    """
    latest_ms = min(to_ms(event.not_after), now_ms) if event.not_after else now_ms
    earliest_ms = to_ms(event.not_before) if event.not_before else None
    said_ms = to_ms(event.observed_at)
    if said_ms >= EARLIEST_MS:  # a clock that was not set may still be right
        return min(max(said_ms, earliest_ms or said_ms), latest_ms)
    return latest_ms if earliest_ms is None else min(earliest_ms, latest_ms)


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
