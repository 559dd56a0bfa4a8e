"""Evidence pictures say when, where and by which device, and fit a 4G link."""

import cv2
import numpy as np
import pytest

from edged.camera import annotate, compress
from edged.picture import PictureError, decode_jpeg

RNG = np.random.default_rng(1)
LINES = ["2026-05-01 10:00:00+08:00", "berth 1001  demo pole-0001"]


@pytest.mark.parametrize("size", [(240, 320), (1080, 1920), (1440, 2560)])
def test_the_lines_stand_below_the_picture_and_cover_nothing_of_it(size: tuple[int, int]) -> None:
    image = RNG.integers(0, 255, (*size, 3), np.uint8)
    shown = annotate(image, LINES)
    assert np.array_equal(shown[: size[0]], image)
    band = shown[size[0] :]
    assert band.shape[0] >= 36
    assert (band > 200).mean() > 0.005


def test_each_line_is_written() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    one, both = annotate(image, LINES[:1]), annotate(image, LINES)
    assert (both > 200).sum() > (one > 200).sum()


def test_outlines_are_drawn_and_the_original_is_left_alone() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    outline = [(100, 100), (300, 100), (300, 300), (100, 300)]
    shown = annotate(image, LINES, berth=outline, plate=[(150, 200), (200, 200), (200, 220), (150, 220)])
    assert shown[100, 200].any()
    assert shown[200, 175].any()
    assert not image.any()


def test_a_line_too_long_is_made_to_fit() -> None:
    shown = annotate(np.zeros((240, 320, 3), np.uint8), ["berth " * 40])
    assert not (shown[240:, -8:] > 100).any()


def test_even_noise_fits_the_limit() -> None:
    noise = RNG.integers(0, 255, (1080, 1920, 3), np.uint8)
    jpeg = compress(noise)
    assert len(jpeg) <= 150 * 1024
    assert decode_jpeg(jpeg).shape[2] == 3


def test_a_picture_that_fits_keeps_its_size() -> None:
    smooth = cv2.resize(RNG.integers(0, 255, (9, 16, 3), np.uint8), (1920, 1080))
    assert decode_jpeg(compress(smooth)).shape == (1080, 1920, 3)


def test_an_impossible_limit_is_an_error() -> None:
    with pytest.raises(PictureError, match="10 bytes"):
        compress(np.zeros((100, 100, 3), np.uint8), max_bytes=10)
