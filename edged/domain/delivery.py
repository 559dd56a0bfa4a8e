"""Delivery, decided: when to try again, which events travel together, which pictures go first.

Everything here is pure: the caller brings the time and the random numbers, and acts on the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Any

from edged.domain.trouble import TroubleError

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 60.0
LONGEST_RETRY_AFTER_S = 3600.0


def backoff_s(failures: int, rng: Random, *, asked_s: float | None = None) -> float:
    """Return how long to wait after `failures` failures in a row (0: do not wait).

    Doubles from about 1 s to 1 min. The upper half is drawn at random, so that ten thousand poles that lost
    the cloud in one second do not come back in one second. `asked_s` is the server's Retry-After:
    never undercut (up to an hour), and spread by the same share.
    """
    if failures <= 0:
        return 0.0
    # 2**9 s is beyond the longest already; the bound keeps a year of failures from overflowing
    ceiling_s = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(failures, 9))
    share = rng.random()
    wait_s = ceiling_s * (0.5 + share / 2)
    if asked_s is not None and asked_s > 0:
        wait_s = max(wait_s, min(asked_s, LONGEST_RETRY_AFTER_S) * (1 + share / 2))
    return wait_s


def fitting(sizes_bytes: Sequence[int], *, max_count: int, max_bytes: int) -> int:
    """Return how many events, from the first on, go into one batch: at least one when there is one.

    A lone event above `max_bytes` travels alone; the receiver judges it.
    """
    total_bytes = 0
    for count, size_bytes in enumerate(sizes_bytes[:max_count]):
        total_bytes += size_bytes
        if count and total_bytes > max_bytes:
            return count
    return min(len(sizes_bytes), max_count)


class OutboxUnavailable(TroubleError):
    """The outbox cannot be read or written now; what waits in it is not lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEvent:
    """An event that waits for the cloud. `body` is its wire form, `size_bytes` about what that takes."""

    event_id: str
    body: dict[str, Any]
    size_bytes: int


class EvictionCause(StrEnum):
    """Why a picture was dropped; each has its own counter."""

    AGE = "age"
    SIZE = "size"
    SIZE_UNDELIVERED = "size_undelivered"  # nothing else was left to drop: a loss, and reported as one


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPicture:
    """An evidence picture on disk. `needed`: an event that names it, or the cloud, still waits for it.

    `of_open_visit`: the vehicle that it shows still stands there.
    """

    sha256: str
    size_bytes: int
    stored_at: datetime
    needed: bool
    of_open_visit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Eviction:
    sha256: str
    size_bytes: int
    cause: EvictionCause


def evictions(
    pictures: Sequence[StoredPicture], *, now: datetime | None, keep: timedelta, max_bytes: int
) -> tuple[Eviction, ...]:
    """Return which pictures to drop: too old first, then the oldest until the rest fits `max_bytes`.

    Pictures still needed outlive their age, and go last when there is no room; those of open visits outlive
    their age. `now` None: the clock is not to be trusted, nothing goes by age.
    """
    oldest_first = sorted(pictures, key=lambda picture: (picture.stored_at, picture.sha256))
    dropped: list[Eviction] = []
    rest: list[StoredPicture] = []
    for picture in oldest_first:
        kept = picture.needed or picture.of_open_visit
        if now is not None and not kept and now - picture.stored_at > keep:
            dropped.append(_eviction(picture, EvictionCause.AGE))
        else:
            rest.append(picture)
    excess_bytes = sum(picture.size_bytes for picture in rest) - max_bytes
    for picture in sorted(rest, key=lambda picture: picture.needed):  # stable: oldest first in each class
        if excess_bytes <= 0:
            break
        excess_bytes -= picture.size_bytes
        cause = EvictionCause.SIZE_UNDELIVERED if picture.needed else EvictionCause.SIZE
        dropped.append(_eviction(picture, cause))
    return tuple(dropped)


def _eviction(picture: StoredPicture, cause: EvictionCause) -> Eviction:
    return Eviction(sha256=picture.sha256, size_bytes=picture.size_bytes, cause=cause)
