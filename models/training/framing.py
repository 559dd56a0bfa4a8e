"""How a plate is cut for the reader: the same steps as on the pole, so that training sees what the pole sees.

A one-row plate fills the reader's 128x32 window. A two-row plate is cut in two and laid side by side:
its upper row left, its lower row right.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Quad = npt.NDArray[np.float32]

WIDTH: Final = 128
HEIGHT: Final = 32
# Rectified at twice the size, then halved by area: linear sampling alone aliases on plates wider than 128 px.
FINE: Final = 2
# Two-row plates, as parts of the rectified plate: (left, top, right, bottom), then the window's share.
UPPER: Final = (0.17, 0.0, 0.83, 0.40)
LOWER: Final = (0.0, 0.36, 1.0, 1.0)
UPPER_WIDTH: Final = 40
# What the rectifier adds around the corners, as parts of the plate's width and height, on each side.
MARGIN_X: Final = 0.02
MARGIN_Y: Final = 0.06
# Darkest and brightest shares of a window's pixels, the levels they are brought to, and the largest gain for
# that: noise grows too.
LEVEL_SHARES: Final = (0.03, 0.97)
LEVELS: Final = (24.0, 224.0)
LARGEST_GAIN: Final = 6.0
# A cut-out plate squarer than this (width / height) is read both ways; the surer reading is taken.
TWO_ROW_ASPECT: Final = 2.75


def widened(quad: Quad, margin_x: float, margin_y: float) -> Quad:
    """Move each side of a quad (4x2, clockwise from top left) out by a part of its width and height."""
    top_left, top_right, bottom_right, bottom_left = quad
    right_top, right_bottom = (top_right - top_left) * margin_x, (bottom_right - bottom_left) * margin_x
    down_left, down_right = (bottom_left - top_left) * margin_y, (bottom_right - top_right) * margin_y
    return np.asarray(
        [
            top_left - right_top - down_left,
            top_right + right_top - down_right,
            bottom_right + right_bottom + down_right,
            bottom_left - right_bottom + down_left,
        ],
        np.float32,
    )


def rectified(picture: Picture, quad: Quad, rows: int = 1) -> Picture:
    """The reader's window (32x128x3) of the plate at `quad` (margins already in it) in a BGR picture."""
    width, height = WIDTH * FINE, HEIGHT * FINE * rows
    target = np.asarray([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(quad - 0.5, target - 0.5)
    fine = cv2.warpPerspective(
        picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return windowed(np.asarray(fine, np.uint8), rows)


def windowed(plate: Picture, rows: int = 1) -> Picture:
    """A cut-out plate of any size as the reader's window (32x128x3)."""
    if rows == 1:
        return _resized(plate, WIDTH)
    height, width = plate.shape[:2]
    parts = []
    for (left, top, right, bottom), share in ((UPPER, UPPER_WIDTH), (LOWER, WIDTH - UPPER_WIDTH)):
        part = plate[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
        parts.append(_resized(part, share))
    return np.hstack(parts)


def levelled(window: Picture) -> Picture:
    """The window with its dark and its bright parts brought to fixed levels, all channels alike.

    Night, haze and glare are taken away before the network sees them: it need not learn each letter in each
    light. The darkest and brightest few pixels are left aside: a lamp in a corner does not decide.
    """
    grey = cv2.cvtColor(window, cv2.COLOR_BGR2GRAY)
    below = np.cumsum(np.bincount(grey.ravel(), minlength=256)) / grey.size
    dark, bright = np.searchsorted(below, LEVEL_SHARES)
    gain = min(LARGEST_GAIN, (LEVELS[1] - LEVELS[0]) / max(1, bright - dark))
    middle = (dark + bright) / 2
    table = (np.arange(256) - middle) * gain + (LEVELS[0] + LEVELS[1]) / 2
    return np.asarray(cv2.LUT(window, np.clip(table, 0, 255).astype(np.uint8)), np.uint8)


def _resized(part: Picture, width: int) -> Picture:
    shrinks = part.shape[1] > width and part.shape[0] > HEIGHT
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (width, HEIGHT), interpolation=method), np.uint8)
