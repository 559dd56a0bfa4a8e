"""Time as the tables keep it: integer milliseconds of UTC."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

Clock = Callable[[], int]


def system_clock() -> int:
    """Return the time of this host in ms."""
    return time.time_ns() // 1_000_000


def to_ms(when: datetime) -> int:
    """Return an aware datetime in ms."""
    return round(when.timestamp() * 1000)


def from_ms(at_ms: int) -> datetime:
    """Return ms as an aware UTC datetime."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)
