"""A berth or a camera that reads fewer plates than it should is named."""

from edged.domain.reading_rate import Fall, ReadVisit, fallen_cameras, unread_berths


def visits(*accepted: bool, berth_no: str = "1001") -> list[ReadVisit]:
    return [ReadVisit(berth_no=berth_no, accepted=one) for one in accepted]


def test_five_visits_in_a_row_without_a_plate_are_named() -> None:
    assert unread_berths(visits(*[False] * 5, True)) == {"1001"}


def test_a_plate_among_the_latest_five_is_enough() -> None:
    assert unread_berths(visits(False, False, False, False, True, False)) == set()
    assert unread_berths(visits(*[False] * 4)) == set()


def test_each_berth_is_counted_by_itself() -> None:
    mixed = [*visits(*[False] * 3), *visits(True, berth_no="1002"), *visits(False, False)]

    assert unread_berths(mixed) == {"1001"}


def test_a_camera_that_falls_to_half_of_its_usual_share_is_named() -> None:
    history = visits(*[True, False] * 10, *[True] * 60)

    assert fallen_cameras(history, {"1001": "high"}) == {"high": Fall(now=0.5, usually=1.0)}


def test_a_camera_with_a_short_past_or_a_usual_share_is_not() -> None:
    assert fallen_cameras(visits(*[False] * 20, *[True] * 39), {"1001": "high"}) == {}
    assert fallen_cameras(visits(*[True] * 12, *[False] * 8, *[True] * 60), {"1001": "high"}) == {}
