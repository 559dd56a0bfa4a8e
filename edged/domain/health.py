"""How well the parts of a box work."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from edged.domain.trouble import Trouble


class HealthStatus(StrEnum):
    """The health of a part or of the whole box, best first."""

    OK = "ok"
    DEGRADED = "degraded"  # some berths, or some promise, suffer
    FAILED = "failed"  # the box does not do its job


_LIGHTS = {HealthStatus.OK: "green", HealthStatus.DEGRADED: "yellow", HealthStatus.FAILED: "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Trouble):
    """A trouble with a light. `where` is the part: `bus kerb`, `camera high`, `store`, `uplink`.

    A part that works has the status `ok`; its cause then says what was seen of it.
    """

    status: HealthStatus

    @property
    def light(self) -> str:
        """Return the colour that a technician sees: green, yellow or red."""
        return _LIGHTS[self.status]

    @classmethod
    def sound(cls, where: str, cause: str) -> "Finding":
        """Return the finding of a part that works; `cause` is what was seen of it."""
        return cls(where=where, status=HealthStatus.OK, cause=cause, remedy="")

    @classmethod
    def of(cls, where: str, status: HealthStatus, trouble: Trouble) -> "Finding":
        """Return the finding that `trouble` is to the part `where`."""
        return cls(where=where, status=status, cause=trouble.what, remedy=trouble.remedy)


def overall(findings: Iterable[Finding]) -> HealthStatus:
    """Return the worst status among `findings`; `ok` when there are none."""
    order = list(HealthStatus)
    return max((finding.status for finding in findings), key=order.index, default=HealthStatus.OK)
