"""One reading of each place is kept: by what was read."""

import numpy as np

from edged.domain.plate import PlateKind
from edged.domain.reading import PlateRead, PlateReading, SlotProbabilities
from edged.vision.detector import Candidate, views_of_each
from edged.vision.pipeline import _behind_whole_ones
from edged.vision.ranking import once_each
from edged.vision.regions import Region


def read(text: str, left: float, right: float, *, accepted: bool, confidence: float) -> PlateRead:
    reading = PlateReading(
        text=text,
        kind=PlateKind.SMALL_CAR,
        characters=(confidence,) * len(text),
        confidence=confidence,
        accepted=accepted,
    )
    return PlateRead(
        reading=reading,
        corners=((left, 0), (right, 0), (right, 30), (left, 30)),
        probabilities=SlotProbabilities(slots=(), kinds={}),
        sharpness=1.0,
    )


def candidate(left: float, right: float, score: float) -> Candidate:
    corners = np.asarray([[left, 40], [right, 40], [right, 70], [left, 70]], np.float32)
    return Candidate(corners=corners, score=score, two_rows=0.0)


def test_an_accepted_reading_is_not_lost_to_a_surer_one_of_a_part_of_its_plate() -> None:
    whole = read("苏E73W26", 0, 100, accepted=True, confidence=0.975)
    part = read("苏E73W", 0, 80, accepted=False, confidence=0.999)
    assert once_each([part, whole]) == [whole]


def test_a_plates_text_is_kept_before_a_surer_text_of_nothing() -> None:
    plate = read("苏E73W26", 0, 100, accepted=False, confidence=0.6)
    stray = read("0571883", 10, 90, accepted=False, confidence=0.99)
    assert once_each([stray, plate]) == [plate]


def test_plates_side_by_side_are_both_kept_the_surest_first() -> None:
    left = read("苏E73W26", 0, 100, accepted=True, confidence=0.98)
    right = read("浙C65P41", 110, 210, accepted=True, confidence=0.99)
    assert once_each([left, right]) == [right, left]


def test_views_of_one_plate_stay_together_the_best_first() -> None:
    views = views_of_each([candidate(0, 100, 0.7), candidate(300, 400, 0.8), candidate(5, 60, 0.9)])
    assert [[view.score for view in group] for group in views] == [[0.9, 0.7], [0.8]]


def test_a_plate_cut_by_a_tiles_border_stands_behind_the_whole_one() -> None:
    whole = Region(left=0, top=0, right=1000, bottom=500)
    tile = Region(left=0, top=0, right=500, bottom=500)
    assert _behind_whole_ones(candidate(430, 499, 0.84), tile, whole).score < 0.81
    assert _behind_whole_ones(candidate(380, 480, 0.81), tile, whole).score == 0.81
    # The picture's own edge is no tile's border.
    assert _behind_whole_ones(candidate(0, 90, 0.84), tile, whole).score == 0.84
