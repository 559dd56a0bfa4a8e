"""Visits folded from events, pure: events may come late, twice or out of order.

The result does not depend on the order of arrival: the drive-in says when a visit began, the drive-out
when it ended, and the reading with the latest picture is the one that counts.
"""

from dataclasses import dataclass, replace
from typing import Any

from edged.wire import DriveIn, DriveOut, Reading, ReadingView


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One vehicle in one berth, as far as it has been reported; times in ms of UTC."""

    visit_id: str
    berth_id: str
    device_id: str
    seen_ms: int  # drive-in, or the first that was heard of it
    started_ms: int | None = None
    start_cause: str | None = None
    ended_ms: int | None = None
    end_cause: str | None = None
    plate: str | None = None
    plate_kind: str | None = None
    characters: tuple[float, ...] = ()
    accepted: bool = False
    captured_ms: int | None = None
    read_ms: int | None = None  # when that reading was decided
    evidence_sha256: str | None = None
    time_unsure: bool = False  # no clock proves when this was

    @property
    def stay_ms(self) -> int:
        """Return how long the vehicle stood there, 0 while that is not known."""
        if self.started_ms is None or self.ended_ms is None:
            return 0
        return self.ended_ms - self.started_ms


def fold(visit: Visit, event: DriveIn | DriveOut | Reading, observed_ms: int, captured_ms: int) -> Visit:
    """Return the visit with one more event; `captured_ms` is only used for a reading."""
    if visit.started_ms is None and not isinstance(event, DriveIn):
        visit = replace(visit, seen_ms=min(visit.seen_ms, observed_ms))
    match event:
        case DriveIn():
            if visit.started_ms is not None and visit.started_ms <= observed_ms:
                return visit
            return replace(visit, seen_ms=observed_ms, started_ms=observed_ms, start_cause=event.cause.value)
        case DriveOut():
            if visit.ended_ms is not None and visit.ended_ms >= observed_ms:
                return visit
            return replace(visit, ended_ms=observed_ms, end_cause=event.cause.value)
        case Reading():
            return with_reading(visit, event, captured_ms, event.evidence_sha256, read_ms=observed_ms)


def with_reading(
    visit: Visit, reading: ReadingView, captured_ms: int, evidence_sha256: str | None, *, read_ms: int
) -> Visit:
    """Return the visit with this reading, unless it already has one of a later picture.

    Of two readings by one picture the later decided one counts (`read_ms`): a pole takes acceptance back so.
    """
    if visit.captured_ms is not None:
        # Of two readings of one moment any fixed rule will do.
        old = (visit.captured_ms, visit.read_ms or 0, visit.accepted, visit.plate or "")
        if old > (captured_ms, read_ms, reading.accepted, reading.plate or ""):
            return visit
    return replace(
        visit,
        **columns_of(reading),
        captured_ms=captured_ms,
        read_ms=read_ms,
        evidence_sha256=evidence_sha256,
    )


def columns_of(reading: ReadingView) -> dict[str, Any]:
    """Return a reading as the tables of visits and readings hold it."""
    plate_kind = reading.plate_kind.value if reading.plate_kind else None
    return {**reading.model_dump(include={"plate", "characters", "accepted"}), "plate_kind": plate_kind}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was read of the vehicle in the berth; `plate` is the first plate.

    `fresh` says that the picture was taken on request, for the submission that is being checked.
    """

    visit_id: str
    seen_ms: int  # drive-in, or the first that was heard of the visit
    plate: str | None
    characters: tuple[float, ...]
    accepted: bool
    captured_ms: int | None
    fresh: bool = False
    time_unsure: bool = False  # no clock proves when the picture was taken
