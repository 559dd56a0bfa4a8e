"""The detector's numbers to candidates; the network itself is measured elsewhere."""

from itertools import pairwise

import numpy as np
import pytest

from edged.vision.detector import Candidate, decoded, distinct, shrunk
from edged.vision.regions import Region, tiles
from edged.vision.runtime import Output

LOGITS = Output(index=0, shape=(1, 48, 80, 2), scale=0.1, zero_point=0)
CORNERS = Output(index=1, shape=(1, 48, 80, 8), scale=0.05, zero_point=10)


def test_a_hot_cell_becomes_its_corners_in_pixels_of_the_canvas() -> None:
    logits = np.full((48, 80, 2), -100, np.int8)
    corners = np.full((48, 80, 8), 10, np.int8)
    logits[20, 30] = (40, -40)
    corners[20, 30] = np.asarray([-40, -10, 40, -10, 40, 10, -40, 10]) + 10  # +-2 strides, +-0.5
    (quad,), (score,) = decoded((logits, LOGITS), (corners, CORNERS), 8, 0.5)
    assert score.tolist() == pytest.approx([0.982, 0.018], abs=0.001)
    centre_x, centre_y = 30.5 * 8, 20.5 * 8
    assert quad[0].tolist() == pytest.approx([centre_x - 16, centre_y - 4])
    assert quad[2].tolist() == pytest.approx([centre_x + 16, centre_y + 4])


def test_cells_below_the_threshold_are_nothing() -> None:
    logits = np.full((48, 80, 2), -5, np.int8)  # a heat of 0.38
    corners = np.zeros((48, 80, 8), np.int8)
    quads, scores = decoded((logits, LOGITS), (corners, CORNERS), 8, 0.5)
    assert quads.shape == (0, 4, 2)
    assert scores.shape == (0, 2)


def test_a_thousand_hot_cells_are_bounded() -> None:
    logits = np.full((48, 80, 2), 100, np.int8)
    corners = np.zeros((48, 80, 8), np.int8)
    assert len(decoded((logits, LOGITS), (corners, CORNERS), 8, 0.5)[0]) == 200


def plate(x: float, y: float, score: float, width: float = 100) -> Candidate:
    corners = np.asarray([[x, y], [x + width, y], [x + width, y + 32], [x, y + 32]], np.float32)
    return Candidate(corners=corners, score=score, two_rows=0.0)


def test_each_plate_is_one_candidate_the_surest() -> None:
    kept = distinct([plate(0, 0, 0.6), plate(4, 2, 0.9), plate(500, 0, 0.7), plate(30, 4, 0.5, width=50)])
    assert [candidate.score for candidate in kept] == pytest.approx([0.9, 0.7])


def test_plates_side_by_side_stay_two() -> None:
    assert len(distinct([plate(0, 0, 0.9), plate(105, 3, 0.8)])) == 2


def test_no_candidates_are_none() -> None:
    assert distinct([]) == []


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (300, 225), (2448, 1632)])
def test_tiles_cover_the_whole_picture_and_overlap(size: tuple[int, int]) -> None:
    whole = Region(left=0, top=0, right=size[0], bottom=size[1])
    seen = np.zeros((size[1], size[0]), np.uint8)
    found = tiles(whole, (640, 384), 96)
    for tile in found:
        assert 0 <= tile.left < tile.right <= size[0]
        assert 0 <= tile.top < tile.bottom <= size[1]
        seen[tile.top : tile.bottom, tile.left : tile.right] = 1
    assert seen.all()
    lefts = sorted({(tile.left, tile.right) for tile in found})
    for (_, right), (left, _) in pairwise(lefts):
        assert right - left >= 96


def test_shrinking_keeps_the_mean_of_a_fine_pattern() -> None:
    stripes = np.zeros((1080, 1920, 3), np.uint8)
    stripes[:, ::2] = 200
    small = shrunk(stripes, 640, 360)
    assert small.shape == (360, 640, 3)
    assert abs(int(small.mean()) - 100) <= 2
    assert small.std() < 5


@pytest.mark.parametrize("size", [(640, 360), (960, 540), (700, 400), (2500, 1200)])
def test_shrinking_into_a_part_of_a_canvas_leaves_the_rest_of_it(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(1, 256, (1080, 1920, 3)).astype(np.uint8)
    canvas = np.zeros((1300, 2600, 3), np.uint8)
    shrunk(picture, *size, out=canvas[: size[1], : size[0]])
    assert (canvas[: size[1], : size[0]] == shrunk(picture, *size)).all()
    assert not canvas[size[1] :].any()
    assert not canvas[:, size[0] :].any()
