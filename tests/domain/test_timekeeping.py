"""A time is doubted before it is believed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edged.domain.timekeeping import Boot, Bounds, Stamp, advanced, bounds, corrected, is_believed, is_trusted

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
UNSET = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def at(monotonic_s: float, *, utc: datetime | None = None, boot_id: str = "b", synced: bool = True) -> Stamp:
    utc = utc or NOON + timedelta(seconds=monotonic_s)
    return Stamp(utc=utc, clock_synced=synced, boot_id=boot_id, monotonic_s=monotonic_s)


def test_a_record_of_this_boot_is_corrected_once_the_clock_is_set() -> None:
    unset = at(10, utc=UNSET, synced=False)

    assert corrected(unset, at(100)).utc == NOON + timedelta(seconds=10)
    assert corrected(unset, at(100, boot_id="another")) == unset


def test_no_time_is_known_before_the_cloud_agrees() -> None:
    assert advanced(None, at(5), None) is None
    assert advanced(None, at(5), NOON) == at(5)
    assert advanced(None, at(5, utc=NOON + 400 * DAY), NOON) is None


def test_the_known_time_advances_as_the_boot_clock_does_whatever_the_clock_shows() -> None:
    jumped = at(70, utc=NOON + 400 * DAY)

    known = advanced(at(10), jumped, None)

    assert known is not None
    assert known.utc == NOON + timedelta(seconds=70)


def test_a_jump_counts_when_the_cloud_agrees() -> None:
    later = at(70, utc=NOON + 400 * DAY)

    assert advanced(at(10), later, NOON + 400 * DAY) == later


def test_after_a_reboot_the_known_time_is_the_earliest_possible_one() -> None:
    known = advanced(at(10), at(30, boot_id="next", utc=UNSET, synced=False), None)

    assert known is not None
    assert known.utc == NOON + timedelta(seconds=10 + 30)
    assert known.boot_id == "next"


@pytest.mark.parametrize(
    ("utc", "known", "cloud_utc", "trusted"),
    [
        (NOON, None, None, False),
        (NOON, None, NOON, True),
        (NOON, at(0), None, True),
        (NOON + 400 * DAY, at(0), None, False),
        (NOON + 400 * DAY, at(0), NOON, False),
        (NOON - 400 * DAY, at(0), None, False),
        (NOON + 400 * DAY, at(0), NOON + 400 * DAY, True),
        (UNSET, at(0), NOON, False),
    ],
)
def test_ages_are_counted_only_from_a_trusted_time(
    utc: datetime, known: Stamp | None, cloud_utc: datetime | None, trusted: bool
) -> None:
    assert is_trusted(at(0, utc=utc), known, cloud_utc) is trusted


def test_a_clock_proves_nothing_while_it_is_unset_or_the_cloud_objects() -> None:
    assert is_believed(at(0), None)
    assert not is_believed(at(0, synced=False), None)
    assert not is_believed(at(0, utc=UNSET), None)
    assert not is_believed(at(0, utc=NOON + 400 * DAY), NOON)


def test_a_boot_that_never_knew_the_time_lies_between_its_neighbours() -> None:
    boots = [
        Boot(boot_id="first", anchor=at(100, boot_id="first")),
        Boot(boot_id="lost", not_before=NOON + timedelta(hours=1)),
        Boot(boot_id="next", anchor=at(60, boot_id="next", utc=NOON + timedelta(hours=5))),
    ]
    stamp = at(30, boot_id="lost", utc=UNSET, synced=False)

    assert bounds(stamp, boots) == Bounds(
        not_before=NOON + timedelta(hours=1, seconds=30),
        not_after=NOON + timedelta(hours=5) - timedelta(seconds=60),
    )
    assert bounds(stamp, boots[:2]).not_after is None
    assert bounds(replace(stamp, boot_id="unknown"), boots) == Bounds()
