"""Whether two pictures show the same place: directions of edges, correlated over the whole picture.

Directions, not brightness: sun, dusk and a street lamp change how bright a kerb is, not where it runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.view.sight import WIDTH_PX, Grey

Outline = Sequence[tuple[float, float]]
Slopes = NDArray[np.complex64]

# Within so many pixels of a sight (1.7% of the picture's width) a view may sway and still be the same.
_SWAY_PX = 8
# Measured with `make bench-view`: a view in place reaches 11 to 38, one moved by half a berth 6.
SAME_FROM = 8.0
MOVED_BELOW = 6.5
# The outline's inside belongs to the vehicle, its painted border to the street: so much of it is left out.
_INSIDE = 0.92
_NEIGHBOURHOOD_PX = 31
_FAINT = 1.0  # grey levels a pixel: weaker edges than this are noise
_DISTINCT = 2.0
_CHANGED = 0.2  # of a picture's own strong edges


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """The static surroundings of a view, prepared for comparison. `grey` is the picture behind them."""

    grey: Grey
    spectrum: NDArray[np.complex64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How well a picture agrees with a place.

    `here`: the correlation without displacement over what chance gives; `elsewhere`: the same for the best
    displacement of all, which is `shift_px` (in pixels of a sight).
    """

    here: float
    elsewhere: float
    shift_px: tuple[int, int]

    @property
    def is_same(self) -> bool:
        return self.here >= SAME_FROM and self.here >= 0.5 * self.elsewhere

    @property
    def is_elsewhere(self) -> bool:
        """Tell whether the same place shows with another aim."""
        return self.elsewhere >= SAME_FROM and self.here < 0.4 * self.elsewhere

    @property
    def is_moved(self) -> bool:
        """Tell whether a clear picture shows another place; pictures in between prove neither."""
        return self.here < MOVED_BELOW or self.is_elsewhere


def slopes_of(grey: Grey) -> Slopes:
    """Return how grey levels change to the right (real part) and downwards (imaginary part), per pixel."""
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    slopes: Slopes = np.empty(grey.shape, np.complex64)
    slopes.real, slopes.imag = across, down
    return slopes


def place_of(grey: Grey, outlines: Sequence[Outline], size_px: tuple[int, int]) -> Place:
    """Return the place that `grey` shows, without the inside of the outlines (px of a `size_px` picture)."""
    field = _directions(slopes_of(grey))
    if outlines:
        scale = WIDTH_PX / size_px[0]
        inside = np.zeros(grey.shape, np.uint8)
        for outline in outlines:
            cv2.fillPoly(inside, [_shrunk(outline, scale)], 1)
        field[inside > 0] = 0
    return Place(grey=grey, spectrum=_spectrum(field))


def agreement(place: Place, slopes: Slopes) -> Agreement:
    """Return how well a picture of these slopes agrees with the place; both have the same shape."""
    spectrum = np.conj(place.spectrum) * _spectrum(_directions(slopes))
    parts = spectrum.view(np.float32).reshape(*spectrum.shape, 2)
    surface = cv2.dft(parts, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)[..., 0]
    chance = max(float(np.sqrt(np.mean(surface * surface))), 1e-9)
    height, width = surface.shape
    rows = np.arange(-_SWAY_PX, _SWAY_PX + 1)
    here = float(surface[np.ix_(rows % height, rows % width)].max()) / chance
    _, highest, _, (x, y) = cv2.minMaxLoc(surface)
    shift = (x - width if x > width // 2 else x, y - height if y > height // 2 else y)
    return Agreement(here=here, elsewhere=highest / chance, shift_px=shift)


def distinct_share(slopes: Slopes) -> float:
    """Return which part of a picture holds edges that stand out of the noise, 0 to 1."""
    return float((np.abs(slopes) > _DISTINCT).mean())


def changed_share(before: Slopes, now: Slopes, outline: Outline | None, size_px: tuple[int, int]) -> float:
    """Return which part of the outline's inside (None: of the picture) has other edges than before, 0 to 1.

    A vehicle changes a third of it and more; light that moves over the ground changes next to nothing.
    """
    # contrast differs with the light: each picture is measured by its own strong edges
    difference = np.abs(before / _strong(before) - now / _strong(now))
    if outline is None:
        return float((difference > _CHANGED).mean())
    inside = np.zeros(now.shape, np.uint8)
    cv2.fillPoly(inside, [_shrunk(outline, WIDTH_PX / size_px[0])], 1)
    chosen = difference[inside > 0]
    return float((chosen > _CHANGED).mean()) if chosen.size else 1.0


def _strong(slopes: Slopes) -> float:
    return max(_DISTINCT, float(np.percentile(np.abs(slopes[::2, ::2]), 99)))


def _directions(slopes: Slopes) -> Slopes:
    """Return each pixel's edge direction as a complex number, weighted 0 to 1 by how it stands out nearby."""
    steepness = np.abs(slopes)
    nearby = cv2.blur(steepness, (_NEIGHBOURHOOD_PX, _NEIGHBOURHOOD_PX))
    return np.asarray(slopes / (steepness + nearby + _FAINT), np.complex64)


def _spectrum(field: Slopes) -> NDArray[np.complex64]:
    parts = field.view(np.float32).reshape(*field.shape, 2)
    done = np.ascontiguousarray(cv2.dft(parts, flags=cv2.DFT_COMPLEX_OUTPUT))
    return np.asarray(done.view(np.complex64)[..., 0])


def _shrunk(outline: Outline, scale: float) -> NDArray[np.int32]:
    points = np.asarray(outline, np.float64) * scale
    middle = points.mean(axis=0)
    shrunk: NDArray[np.int32] = np.rint(middle + (points - middle) * _INSIDE).astype(np.int32)
    return shrunk
