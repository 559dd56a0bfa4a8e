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
_Spectrum = NDArray[np.complex64]

# Within so many pixels of a sight (1.7% of the picture's width) a view may sway and still be the same.
_SWAY_PX = 8
# Measured with `make bench-view`, outlines twice as large as the berth included: a view in place reaches 3.6
# to 40, one moved by half a berth 2.9 at most.
SAME_FROM = 4.5
MOVED_BELOW = 3.2
# Another aim shows as a peak elsewhere: chance alone reaches 5.
_ELSEWHERE_FROM = 8.0
# So many of a picture's pixels need to be distinct edges of one direction, or that direction says nothing.
_ENOUGH_SHARE = 0.004
# The outline's inside belongs to the vehicle, its painted border to the street: so much of it is left out.
_INSIDE = 0.92
_NEIGHBOURHOOD_PX = 31
_FAINT = 1.0  # grey levels a pixel: weaker edges than this are noise
_DISTINCT = 2.0
_CHANGED = 0.2  # of a picture's own strong edges


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """The static surroundings of a view, prepared for comparison.

    `grey` is the picture behind them. `across` and `down` are the spectra of upright and of level edges, None
    where there are too few to compare.
    """

    grey: Grey
    across: _Spectrum | None
    down: _Spectrum | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How well a picture agrees with a place.

    `here`: the correlation without displacement over what chance gives, of upright or of level edges,
    whichever agree less: kerbs and lines along the street stay where they are when the camera turns along
    them. `elsewhere`: the same of all edges for the best displacement of all, which is `shift_px` (in pixels
    of a sight).
    """

    here: float
    elsewhere: float
    shift_px: tuple[int, int]

    @property
    def is_same(self) -> bool:
        return self.here >= SAME_FROM

    @property
    def is_elsewhere(self) -> bool:
        """Tell whether the same place shows with another aim; cars that drive by make such a peak as well."""
        is_shifted = max(map(abs, self.shift_px)) > _SWAY_PX
        return is_shifted and self.elsewhere >= _ELSEWHERE_FROM and self.here < SAME_FROM

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
    slopes = slopes_of(grey)
    field = _directions(slopes)
    inside = np.zeros(grey.shape, np.uint8)
    for outline in outlines:
        cv2.fillPoly(inside, [_shrunk(outline, WIDTH_PX / size_px[0])], 1)
    field[inside > 0] = 0
    distinct = np.where(inside > 0, 0, slopes)
    across, down = _spectra(field)
    return Place(
        grey=grey,
        across=across if float((np.abs(distinct.real) > _DISTINCT).mean()) >= _ENOUGH_SHARE else None,
        down=down if float((np.abs(distinct.imag) > _DISTINCT).mean()) >= _ENOUGH_SHARE else None,
    )


def agreement(place: Place, slopes: Slopes) -> Agreement | None:
    """Return how well a picture of these slopes agrees with the place, None where the place has no edges.

    Both have the same shape.
    """
    across, down = _spectra(_directions(slopes))
    product = np.zeros(slopes.shape, np.complex64)
    if place.across is not None:
        product += np.conj(place.across) * across
    if place.down is not None:
        product += 1j * np.conj(place.down) * down
    # both correlations are real, so that one inverse transform gives both
    parts = product.view(np.float32).reshape(*slopes.shape, 2)
    surfaces = cv2.dft(parts, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)
    known = [one for one, spectrum in enumerate((place.across, place.down)) if spectrum is not None]
    if not known:
        return None
    whole = surfaces[..., known].sum(axis=-1)
    _, highest, _, (x, y) = cv2.minMaxLoc(whole)
    height, width = whole.shape
    return Agreement(
        here=min(_without_shift(surfaces[..., one]) for one in known),
        elsewhere=highest / _chance(whole),
        shift_px=(x - width if x > width // 2 else x, y - height if y > height // 2 else y),
    )


def _without_shift(surface: NDArray[np.float32]) -> float:
    height, width = surface.shape
    near = np.arange(-_SWAY_PX, _SWAY_PX + 1)
    return float(surface[np.ix_(near % height, near % width)].max()) / _chance(surface)


def _chance(surface: NDArray[np.float32]) -> float:
    return max(float(np.sqrt(np.mean(surface * surface))), 1e-9)


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


def _spectra(field: Slopes) -> tuple[_Spectrum, _Spectrum]:
    """Return the spectra of the field's real and imaginary part; symmetry makes two of one transform."""
    parts = field.view(np.float32).reshape(*field.shape, 2)
    whole = np.ascontiguousarray(cv2.dft(parts)).view(np.complex64)[..., 0]
    mirrored = np.conj(np.roll(whole[::-1, ::-1], 1, axis=(0, 1)))
    return (whole + mirrored) / 2, (whole - mirrored) / np.complex64(2j)


def _shrunk(outline: Outline, scale: float) -> NDArray[np.int32]:
    points = np.asarray(outline, np.float64) * scale
    middle = points.mean(axis=0)
    shrunk: NDArray[np.int32] = np.rint(middle + (points - middle) * _INSIDE).astype(np.int32)
    return shrunk
