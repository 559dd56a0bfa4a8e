"""What works, what does not, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class HealthStatus(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"  # some berths, or some promise, suffer
    FAILED = "failed"  # the box does not do its job


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong: where, why, and the technician's next action."""

    component: str  # bus kerb, camera high, store, uplink, ...
    status: HealthStatus
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.component}: {self.cause}; {self.remedy}"


def overall(problems: Iterable[Problem]) -> HealthStatus:
    """Return the worst status among `problems`."""
    order = list(HealthStatus)
    return max((problem.status for problem in problems), key=order.index, default=HealthStatus.OK)
