"""A picture reduced to what later pictures are compared with."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.picture import Image

Grey = NDArray[np.uint8]  # height x WIDTH_PX

WIDTH_PX = 480
# Each sampled pixel is one of the picture's own, so that sensor noise stays in it: averaged pixels of two
# live pictures are often equal.
_SAMPLES_ACROSS = 480
# A frozen encoder may still draw its clock: about 20 digits of 24 x 40 px are 1% of a 1920 x 1080 picture.
_EQUAL_SHARE = 0.985
# Of two live pictures of one scene at most some 70% of the pixels are equal (strong denoising, coarse JPEG).
_BAND_PX = 32
_FLAT_BELOW = 4.0  # standard deviation in grey levels: a picture of one colour proves nothing by being equal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sight:
    """What is kept of one picture.

    `grey` is the whole picture, WIDTH_PX wide; `sample` holds single pixels of it; `size_px` is width,
    height.
    `sharpness` is 1 without any fine detail and up to 3 with it. `taken_s` is monotonic.
    """

    size_px: tuple[int, int]
    taken_s: float
    grey: Grey
    sample: Grey
    sharpness: float

    @property
    def is_flat(self) -> bool:
        return float(self.grey.std()) < _FLAT_BELOW


def look_at(image: Image, *, taken_s: float) -> Sight:
    """Return the sight of a picture, height x width x 3, BGR."""
    height, width = image.shape[:2]
    # tens: a Fourier transform of a prime number of rows takes ten times as long
    small_height = min(1000, max(20, round(WIDTH_PX * height / width / 10) * 10))
    step = max(1, width // _SAMPLES_ACROSS)
    # green alone stands for grey: it is 59% of it, and copying one channel is cheaper than a conversion
    green = np.asarray(cv2.extractChannel(image, 1), np.uint8)
    grey = cv2.resize(green, (WIDTH_PX, small_height), interpolation=cv2.INTER_AREA)
    return Sight(
        size_px=(width, height),
        taken_s=taken_s,
        grey=np.asarray(grey, np.uint8),
        sample=np.ascontiguousarray(green[::step, ::step]),
        sharpness=_sharpness(green),
    )


def same_pixels(one: Sight, other: Sight) -> bool:
    """Tell whether two pictures are one and the same, but for a clock drawn into it."""
    if one.size_px != other.size_px or one.is_flat:
        return False
    return np.count_nonzero(one.sample == other.sample) >= _EQUAL_SHARE * one.sample.size


def _sharpness(green: Grey) -> float:
    """Return how much steeper the steepest edges are than after a blur of 2.5 px; contrast has no influence.

    A blur of 0.7 px comes first, so that noise does not pass for detail. Eight bands are enough.
    """
    height, width = green.shape
    if min(height, width) < 64:
        return 1.0
    rows = np.linspace(0, height - _BAND_PX, 8).astype(int)
    bands = [green[row : row + _BAND_PX].astype(np.float32) for row in rows]
    fine, coarse = (
        _steepest([cv2.GaussianBlur(band, (0, 0), sigma_px) for band in bands]) for sigma_px in (0.7, 2.5)
    )
    if fine.max() < 0.5:
        return 1.0
    return float((fine / np.maximum(coarse, 1e-3)).max())


def _steepest(bands: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the steepness that one step in a thousand exceeds, and five.

    By day the few steepest edges tell (a kerb, a line, a plate), at night the glow of lamps is among them.
    """
    across = [np.abs(band[::2, 1::2] - band[::2, :-1:2]).ravel() for band in bands]
    down = [np.abs(band[1::2, ::2] - band[:-1:2, ::2]).ravel() for band in bands]
    steps = np.concatenate((*across, *down))
    places = [steps.size * share // 1000 for share in (995, 999)]
    steepest: NDArray[np.float32] = np.partition(steps, places)[places]
    return steepest
