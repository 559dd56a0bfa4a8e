"""Plates cut out of frames by their four corners, as the networks were taught to see them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.picture import Image
from edged.vision.manifest import Framing, Levels

Corners = NDArray[np.float32]  # 4 x 2, px, clockwise from top left


def widened(corners: Corners, margin_x: float, margin_y: float) -> Corners:
    """Return the quad with each side moved out by a part of the plate's own width and height."""
    top_left, top_right, bottom_right, bottom_left = corners
    top, bottom = (top_right - top_left) * margin_x, (bottom_right - bottom_left) * margin_x
    left, right = (bottom_left - top_left) * margin_y, (bottom_right - top_right) * margin_y
    return np.asarray(
        [
            top_left - top - left,
            top_right + top - right,
            bottom_right + bottom + right,
            bottom_left - bottom + left,
        ],
        np.float32,
    )


def ordered(corners: Corners) -> Corners:
    """Return the corners clockwise from top left, whatever order and turn they came in.

    The top left one is where the longer sides, read left to right, begin: a plate is wider than high and
    no vehicle stands on its head.
    """
    centre = corners.mean(axis=0)
    angles = np.arctan2(corners[:, 1] - centre[1], corners[:, 0] - centre[0])
    clockwise = corners[np.argsort(angles)]  # y grows downwards, so growing angles turn clockwise
    sides = np.linalg.norm(np.roll(clockwise, -1, axis=0) - clockwise, axis=1)
    first = 0 if sides[0] + sides[2] >= sides[1] + sides[3] else 1
    quad = np.roll(clockwise, -first, axis=0)
    if quad[1, 0] + quad[2, 0] < quad[0, 0] + quad[3, 0]:
        quad = np.roll(quad, 2, axis=0)
    return np.asarray(quad, np.float32)


def window(
    image: Image, corners: Corners, framing: Framing, *, rows: int, width_px: int, height_px: int
) -> Image:
    """Return the reader's window (height x width x 3, BGR) of the plate at `corners`."""
    quad = widened(corners, framing.margin_x, framing.margin_y)
    # Rectified finer than needed, then shrunk by area: linear sampling alone aliases on wide plates.
    plate, _ = warped(image, quad, width_px * framing.fine, height_px * framing.fine * rows)
    return unstacked(plate, framing, rows=rows, width_px=width_px, height_px=height_px)


def unstacked(plate: Image, framing: Framing, *, rows: int, width_px: int, height_px: int) -> Image:
    """Return a cut-out plate of any size as the reader's window; two rows are laid side by side."""
    if rows == 1:
        return _resized(plate, width_px, height_px)
    height, width = plate.shape[:2]
    parts = []
    shares = (framing.upper_width_px, width_px - framing.upper_width_px)
    for (left, top, right, bottom), share_px in zip((framing.upper, framing.lower), shares, strict=True):
        part = plate[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
        parts.append(_resized(part, share_px, height_px))
    return np.hstack(parts)


def levelled(window: Image, levels: Levels) -> Image:
    """Return the window with its dark and bright parts brought to fixed levels, all channels alike.

    Night, haze and glare are taken away before the network sees them. The darkest and brightest few pixels
    are left aside: a lamp in a corner does not decide.
    """
    grey = cv2.cvtColor(window, cv2.COLOR_BGR2GRAY)
    below = np.cumsum(np.bincount(grey.ravel(), minlength=256)) / grey.size
    dark, bright = np.searchsorted(below, (levels.dark, levels.bright))
    low, high = levels.to
    gain = min(levels.largest_gain, (high - low) / max(1, bright - dark))
    table = (np.arange(256) - (dark + bright) / 2) * gain + (low + high) / 2
    return np.asarray(cv2.LUT(window, np.clip(table, 0, 255).astype(np.uint8)), np.uint8)


def warped(image: Image, quad: Corners, width_px: int, height_px: int) -> tuple[Image, NDArray[np.float64]]:
    """Return the picture inside `quad` as width x height, and the homography from frame to it."""
    target = np.asarray([[0, 0], [width_px, 0], [width_px, height_px], [0, height_px]], np.float32)
    # Corners are edges between pixels; OpenCV counts pixels by their centres.
    matrix = cv2.getPerspectiveTransform(quad - np.float32(0.5), target - np.float32(0.5))
    picture = cv2.warpPerspective(
        image, matrix, (width_px, height_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(picture, np.uint8), np.asarray(matrix)


def _resized(part: Image, width_px: int, height_px: int) -> Image:
    shrinks = part.shape[1] > width_px and part.shape[0] > height_px
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (width_px, height_px), interpolation=method), np.uint8)
