"""When something happened, as far as any clock proves it.

A box has no battery behind its clock: after a power cut it may begin in 1970, and a bad time server may be a
year wrong for a minute. So a time is believed only while it agrees with the cloud's or with the last-known
time, and a record of a boot that never knew the time carries the bounds that other boots prove.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

# No box of this kind existed before: an earlier time is an unset clock.
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
# Retention counts in days, so a day is close enough; daylight saving and time zones stay within it.
AGREES_WITHIN = timedelta(days=1)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """One run of the box. It began after `not_before`; `anchor` is a believed stamp of it, if any."""

    boot_id: str
    not_before: datetime | None = None
    anchor: Stamp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Between which times something happened; None: no clock says."""

    not_before: datetime | None = None
    not_after: datetime | None = None


def corrected(stamp: Stamp, now: Stamp) -> Stamp:
    """Return `stamp` in synchronised time when `now` proves it: same boot, clock set since.

    A stamp of another boot, or while the clock is still unset, comes back unchanged.
    """
    if stamp.clock_synced or not now.clock_synced or stamp.boot_id != now.boot_id:
        return stamp
    age = timedelta(seconds=now.monotonic_s - stamp.monotonic_s)
    return replace(stamp, utc=now.utc - age, clock_synced=True)


def advanced(known: Stamp | None, now: Stamp, cloud_utc: datetime | None) -> Stamp | None:
    """Return the last-known time at `now`, None when none was ever known.

    It advances as the boot clock does. After a reboot it is the earliest time that it can be, for nothing
    counted while the box was off. A jump of the clock counts only when the cloud (`cloud_utc`: its time now)
    agrees to a day.
    """
    if _agree(now.utc, cloud_utc):
        return replace(now, clock_synced=True)
    if known is None:
        return None
    since_s = now.monotonic_s - (known.monotonic_s if known.boot_id == now.boot_id else 0.0)
    return replace(now, utc=known.utc + timedelta(seconds=max(0.0, since_s)), clock_synced=True)


def is_trusted(now: Stamp, known: Stamp | None, cloud_utc: datetime | None) -> bool:
    """Tell whether ages may be counted from `now`: the cloud or the last-known time agrees to a day."""
    if cloud_utc is not None:
        return _agree(now.utc, cloud_utc)
    at_least = advanced(known, now, None)
    return at_least is not None and _agree(now.utc, at_least.utc)


def is_believed(now: Stamp, cloud_utc: datetime | None) -> bool:
    """Tell whether `now` may date what its boot recorded: synchronised, and the cloud does not object."""
    return now.clock_synced and now.utc >= EARLIEST and (cloud_utc is None or _agree(now.utc, cloud_utc))


def bounds(stamp: Stamp, boots: Sequence[Boot]) -> Bounds:
    """Return between which times a boot without a clock made a record. `boots`: oldest first.

    After the last time known before that boot, plus the boot clock; before the next boot that knew the time
    began.
    """
    at = next((index for index, boot in enumerate(boots) if boot.boot_id == stamp.boot_id), None)
    if at is None:
        return Bounds()
    not_before = boots[at].not_before
    later = [boot.anchor for boot in boots[at + 1 :] if boot.anchor]
    return Bounds(
        not_before=not_before + timedelta(seconds=stamp.monotonic_s) if not_before else None,
        not_after=min((anchor.utc - timedelta(seconds=anchor.monotonic_s) for anchor in later), default=None),
    )


def _agree(one: datetime, other: datetime | None) -> bool:
    return other is not None and abs(one - other) <= AGREES_WITHIN
