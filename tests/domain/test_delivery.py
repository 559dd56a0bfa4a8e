"""Properties of delivery decisions, against plain statements of what is promised."""

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from edged.domain.delivery import (
    LONGEST_BACKOFF_S,
    LONGEST_RETRY_AFTER_S,
    EvictionCause,
    StoredPicture,
    backoff_s,
    evictions,
    fitting,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEEP = timedelta(days=30)


@given(failures=st.integers(1, 10_000), seed=st.integers())
def test_a_pause_is_never_short_of_half_its_ceiling_nor_above_it(failures: int, seed: int) -> None:
    ceiling_s = min(LONGEST_BACKOFF_S, 2.0 ** min(failures, 100))
    assert ceiling_s / 2 <= backoff_s(failures, Random(seed)) <= ceiling_s


def test_without_a_failure_there_is_no_pause() -> None:
    assert backoff_s(0, Random(1)) == 0.0


def test_poles_that_failed_together_do_not_come_back_together() -> None:
    pauses = [backoff_s(8, Random(seed)) for seed in range(10_000)]
    per_second = [sum(second <= pause < second + 1 for pause in pauses) for second in range(61)]
    assert max(per_second) < 10_000 / 20


@given(failures=st.integers(1, 50), asked_s=st.floats(0, 1e9), seed=st.integers())
def test_a_server_that_asks_for_peace_gets_it_within_reason(failures: int, asked_s: float, seed: int) -> None:
    pause_s = backoff_s(failures, Random(seed), asked_s=asked_s)
    assert pause_s >= min(asked_s, LONGEST_RETRY_AFTER_S)
    assert pause_s <= max(LONGEST_BACKOFF_S, LONGEST_RETRY_AFTER_S * 1.5)


@given(sizes=st.lists(st.integers(1, 1000)), max_count=st.integers(1, 50), max_bytes=st.integers(1, 5000))
def test_a_batch_is_the_longest_start_that_fits_and_never_empty(
    sizes: list[int], max_count: int, max_bytes: int
) -> None:
    count = fitting(sizes, max_count=max_count, max_bytes=max_bytes)
    assert count <= max_count
    assert bool(count) == bool(sizes)
    assert count <= 1 or sum(sizes[:count]) <= max_bytes
    if 0 < count < min(len(sizes), max_count):
        assert sum(sizes[: count + 1]) > max_bytes


@st.composite
def stored(draw: st.DrawFn) -> list[StoredPicture]:
    count = draw(st.integers(0, 25))
    return [
        StoredPicture(
            sha256=f"{number:064}",
            size_bytes=draw(st.integers(1, 100)),
            stored_at=NOW - timedelta(days=draw(st.integers(0, 60))),
            needed=draw(st.booleans()),
        )
        for number in range(count)
    ]


@given(pictures=stored(), max_bytes=st.integers(0, 1500), clock=st.booleans())
def test_eviction_keeps_its_promises(pictures: list[StoredPicture], max_bytes: int, clock: bool) -> None:
    dropped = evictions(pictures, now=NOW if clock else None, keep=KEEP, max_bytes=max_bytes)
    by_hash = {picture.sha256: picture for picture in pictures}
    gone = {eviction.sha256: eviction.cause for eviction in dropped}
    assert len(gone) == len(dropped)
    left = [picture for picture in pictures if picture.sha256 not in gone]
    # what is left fits, and nothing was dropped for room that there was
    assert sum(picture.size_bytes for picture in left) <= max_bytes
    for_room = [eviction for eviction in dropped if eviction.cause is not EvictionCause.AGE]
    if for_room:
        assert sum(p.size_bytes for p in left) + for_room[-1].size_bytes > max_bytes
    for sha256, cause in gone.items():
        picture = by_hash[sha256]
        if cause is EvictionCause.AGE:
            assert clock
            assert not picture.needed
            assert NOW - picture.stored_at > KEEP
        elif cause is EvictionCause.SIZE:
            assert not picture.needed
            assert all(picture.stored_at <= other.stored_at for other in left if not other.needed)
        else:
            assert picture.needed
            assert all(other.needed for other in left)  # only once nothing else was left
    if clock:
        assert all(picture.needed or NOW - picture.stored_at <= KEEP for picture in left)
