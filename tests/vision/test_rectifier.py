"""Plates cut out by their corners."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.vision.manifest import Framing, Levels
from edged.vision.rectifier import levelled, ordered, unstacked, warped, widened, window

LEVELS = Levels(dark=0.03, bright=0.97, to=(24, 224), largest_gain=6)
TIGHT = Framing(
    margin_x=0.0,
    margin_y=0.0,
    fine=2,
    upper=(0.17, 0.0, 0.83, 0.4),
    lower=(0.0, 0.36, 1.0, 1.0),
    upper_width_px=40,
    two_rows_below=2.75,
    levels=LEVELS,
)


def card(width: int, height: int) -> np.ndarray:
    """A picture whose quarters have four colours, the top left one red."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (0, 0, 255)
    picture[: height // 2, width // 2 :] = (0, 255, 0)
    picture[height // 2 :, width // 2 :] = (255, 0, 0)
    picture[height // 2 :, : width // 2] = (255, 255, 255)
    return picture


def test_a_tilted_plate_comes_out_upright_and_filling_the_window() -> None:
    quad = np.asarray([[100, 80], [300, 140], [290, 210], [95, 150]], np.float32)
    flat = card(440, 140)
    edges = np.asarray([[0, 0], [440, 0], [440, 140], [0, 140]], np.float32)
    street = cv2.warpPerspective(flat, cv2.getPerspectiveTransform(edges - 0.5, quad - 0.5), (400, 300))
    cut = window(street, quad, TIGHT, rows=1, width_px=128, height_px=32)
    expected = cv2.resize(flat, (128, 32), interpolation=cv2.INTER_AREA)
    assert cut.shape == (32, 128, 3)
    inner = np.abs(cut.astype(int) - expected)[3:13, 6:58]
    assert inner.max() < 30


def test_margins_are_parts_of_the_plate() -> None:
    square = np.asarray([[100, 100], [200, 100], [200, 150], [100, 150]], np.float32)
    assert widened(square, 0.1, 0.2).tolist() == [[90, 90], [210, 90], [210, 160], [90, 160]]


def test_the_homography_leads_from_frame_to_cut() -> None:
    quad = np.asarray([[10, 20], [110, 25], [108, 60], [12, 58]], np.float32)
    _, matrix = warped(np.zeros((100, 150, 3), np.uint8), quad, 128, 64)
    corner = cv2.perspectiveTransform(quad[2].reshape(1, 1, 2) - 0.5, matrix).reshape(2)
    assert corner == pytest.approx((127.5, 63.5), abs=0.01)


def test_two_rows_are_laid_side_by_side() -> None:
    plate = np.zeros((220, 440, 3), np.uint8)
    plate[:80] = (0, 0, 255)
    plate[90:] = (255, 0, 0)
    cut = unstacked(plate, TIGHT, rows=2, width_px=128, height_px=32)
    assert cut[16, 20].tolist() == [0, 0, 255]
    assert cut[16, 90].tolist() == [255, 0, 0]
    assert cut.shape == (32, 128, 3)


@given(
    width=st.floats(60, 300),
    ratio=st.floats(0.2, 0.6),
    turn=st.floats(-0.6, 0.6),
    shift=st.integers(0, 3),
    mirrored=st.booleans(),
)
def test_corners_come_clockwise_from_top_left_whatever_their_order(
    width: float, ratio: float, turn: float, shift: int, mirrored: bool
) -> None:
    x = np.asarray([-1, 1, 1, -1]) * width / 2
    y = np.asarray([-1, -1, 1, 1]) * width * ratio / 2
    true = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], axis=1) + 500
    given_corners = np.roll(true[::-1] if mirrored else true, shift, axis=0).astype(np.float32)
    assert np.allclose(ordered(given_corners), true, atol=0.01)


def test_a_plate_by_night_or_in_haze_reaches_the_reader_as_by_day() -> None:
    day = np.tile(np.linspace(30, 220, 128, dtype=np.float32)[None, :, None], (32, 1, 3))
    by_day = levelled(day.astype(np.uint8), LEVELS).astype(int)
    night, haze = (0.3 * day).astype(np.uint8), (0.4 * day + 120).astype(np.uint8)
    for other in (night, haze):
        assert np.abs(levelled(other, LEVELS).astype(int) - by_day).max() <= 6


def test_levelling_keeps_a_plates_colour_and_does_not_blow_up_noise() -> None:
    blue = np.full((32, 128, 3), (150, 60, 20), np.uint8)
    blue[8:24, ::4] = 230
    level = levelled(blue, LEVELS)
    ground = level[0, 1].astype(int)
    assert ground[0] > ground[1] > ground[2]
    dull = np.random.default_rng(1).integers(100, 104, (32, 128, 3)).astype(np.uint8)
    assert levelled(dull, LEVELS).std() <= 6 * dull.std() + 1
