"""Whether a berth or a camera gives fewer plates than it should: nothing else may look wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

UNREAD_IN_A_ROW = 5
_LATEST = 20  # visits that tell how a camera does now
_USUAL_FROM = 40  # visits that tell how it usually does
_USABLE_FROM = 0.2  # a camera that never read much cannot fall to half of it
# Visits that are looked at: the latest ones, and ten times as many for what is usual.
VISITS = _LATEST + 10 * _LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadVisit:
    """One visit, and whether its plate was accepted."""

    berth_no: str
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """A camera's share of visits with an accepted plate, 0 to 1, now and usually."""

    now: float
    usually: float


def unread_berths(visits: Sequence[ReadVisit]) -> set[str]:
    """Return the berths whose latest five visits have no accepted plate. `visits`: the latest first."""
    latest: dict[str, list[bool]] = {}
    for visit in visits:
        latest.setdefault(visit.berth_no, []).append(visit.accepted)
    return {
        berth_no
        for berth_no, accepted in latest.items()
        if len(accepted) >= UNREAD_IN_A_ROW and not any(accepted[:UNREAD_IN_A_ROW])
    }


def fallen_cameras(visits: Sequence[ReadVisit], camera_of: Mapping[str, str]) -> dict[str, Fall]:
    """Return the cameras that accept half of what they usually do, or less. `visits`: the latest first."""
    by_camera: dict[str, list[bool]] = {}
    for visit in visits:
        if visit.berth_no in camera_of:
            by_camera.setdefault(camera_of[visit.berth_no], []).append(visit.accepted)
    falls = {}
    for camera, accepted in by_camera.items():
        latest, before = accepted[:_LATEST], accepted[_LATEST:]
        if len(before) < _USUAL_FROM:
            continue
        fall = Fall(now=sum(latest) / len(latest), usually=sum(before) / len(before))
        if fall.usually >= _USABLE_FROM and fall.now <= fall.usually / 2:
            falls[camera] = fall
    return falls
