"""How a plate is cut for the reader: by the pole's own code, so that training sees what the pole sees.

A one-row plate fills the reader's 128x32 window. A two-row plate is cut in two and laid side by side:
its upper row left, its lower row right.
"""

from __future__ import annotations

from typing import Final

from edged.picture import Image as Picture
from edged.vision import rectifier
from edged.vision.manifest import Framing, Levels
from edged.vision.rectifier import Corners as Quad
from edged.vision.rectifier import widened

__all__ = ["Picture", "Quad", "levelled", "rectified", "widened", "windowed"]

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
FRAMING: Final = Framing(
    margin_x=MARGIN_X,
    margin_y=MARGIN_Y,
    fine=FINE,
    upper=UPPER,
    lower=LOWER,
    upper_width_px=UPPER_WIDTH,
    two_rows_below=TWO_ROW_ASPECT,
    levels=Levels(dark=LEVEL_SHARES[0], bright=LEVEL_SHARES[1], to=LEVELS, largest_gain=LARGEST_GAIN),
)


def rectified(picture: Picture, quad: Quad, rows: int = 1) -> Picture:
    """The reader's window (32x128x3) of the plate at `quad` (margins already in it) in a BGR picture."""
    fine, _ = rectifier.warped(picture, quad, WIDTH * FINE, HEIGHT * FINE * rows)
    return windowed(fine, rows)


def windowed(plate: Picture, rows: int = 1) -> Picture:
    """A cut-out plate of any size as the reader's window (32x128x3)."""
    return rectifier.unstacked(plate, FRAMING, rows=rows, width_px=WIDTH, height_px=HEIGHT)


def levelled(window: Picture) -> Picture:
    """The window with its dark and its bright parts brought to fixed levels, all channels alike."""
    return rectifier.levelled(window, FRAMING.levels)
