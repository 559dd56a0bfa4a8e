"""Records made before the clock was set are corrected later, from the same boot's monotonic clock."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """When something happened: UTC, whether that clock was synchronised, and the boot's own clock."""

    utc: datetime
    clock_synced: bool
    boot_id: str
    monotonic_s: float

    def __post_init__(self) -> None:
        if self.utc.tzinfo is None:
            raise ValueError(f"utc must be timezone-aware, got {self.utc!r}")


def corrected(stamp: Stamp, now: Stamp) -> Stamp:
    """Return `stamp` in synchronised time when `now` proves it: same boot, clock set since.

    A stamp of another boot, or while the clock is still unset, comes back unchanged.
    """
    if stamp.clock_synced or not now.clock_synced or stamp.boot_id != now.boot_id:
        return stamp
    age = timedelta(seconds=now.monotonic_s - stamp.monotonic_s)
    return replace(stamp, utc=now.utc - age, clock_synced=True)
