"""Cars as meshes: a side profile of some type, given width, roundness, windows, lights and wheels."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from edged.demo.view import Points

Bgr = tuple[float, float, float]

_PAINTS: tuple[Bgr, ...] = (
    (205, 205, 202),
    (150, 152, 150),
    (62, 60, 58),
    (38, 36, 35),
    (52, 40, 128),
    (110, 70, 40),
    (70, 88, 70),
    (150, 175, 190),
    (60, 105, 150),
)
_GLASS: Bgr = (34, 32, 28)
_TYRE: Bgr = (26, 26, 26)

# (distance from the nose in m, height in m, is it glass from here to the next point)
_SEDAN = (
    *((0.06, 0.24, 0), (0.0, 0.42, 0), (0.05, 0.66, 0), (0.22, 0.80, 0), (1.15, 0.98, 0), (1.35, 1.02, 1)),
    *((2.15, 1.42, 0), (2.6, 1.47, 0), (3.3, 1.44, 1), (4.05, 1.10, 0), (4.55, 1.06, 0), (4.68, 0.92, 0)),
    *((4.74, 0.60, 0), (4.66, 0.26, 0)),
)
_SUV = (
    *((0.07, 0.30, 0), (0.0, 0.50, 0), (0.03, 0.80, 0), (0.18, 0.98, 0), (1.05, 1.10, 0), (1.25, 1.14, 1)),
    *((1.95, 1.62, 0), (2.5, 1.70, 0), (3.85, 1.66, 1), (4.35, 1.18, 0), (4.50, 1.0, 0), (4.58, 0.62, 0)),
    *((4.50, 0.30, 0),),
)
_HATCH = (
    *((0.05, 0.25, 0), (0.0, 0.44, 0), (0.04, 0.68, 0), (0.18, 0.82, 0), (0.85, 1.0, 0), (1.05, 1.05, 1)),
    *((1.80, 1.48, 0), (2.3, 1.54, 0), (3.35, 1.50, 1), (3.85, 1.05, 0), (3.98, 0.85, 0), (4.05, 0.55, 0)),
    *((3.98, 0.27, 0),),
)
_PROFILES = (_SEDAN, _SUV, _HATCH)

_ACROSS = 12  # cells from side to side
_PLAN_ROUNDNESS_M = 0.20


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A quadrilateral or polygon of the car's skin; `gloss` is how much sky it mirrors (0-1)."""

    corners: Points  # n x 3
    normal: Points  # 3
    colour: Bgr
    gloss: float
    glows: bool = False
    lies_on_skin: bool = False  # drawn after the skin: lamps, grille, wheels

    @cached_property
    def middle(self) -> Points:
        return np.asarray(self.corners.mean(axis=0), np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Car:
    """One vehicle standing in the street, its near end towards the camera."""

    patches: tuple[Patch, ...]
    plate_centre: Points
    plate_roll_rad: float
    plate_tilt_rad: float
    lamps: tuple[Points, ...]
    shows_front: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Body:
    """Profile (stations x 2: along, height), counted from the end that the camera sees."""

    line: Points
    glass: tuple[bool, ...]
    width_m: float
    belt_m: float
    roof_m: float
    at: Points  # street point of the near end's middle

    def half_width(self, height: float) -> float:
        if height <= self.belt_m:
            return self.width_m / 2 * (0.96 + 0.04 * min(1.0, height / 0.6))
        lean = (height - self.belt_m) / (self.roof_m - self.belt_m)
        return self.width_m / 2 * (1 - 0.20 * lean)

    def point(self, along: float, height: float, across: float) -> Points:
        """Return the street point on the skin; `across` runs from -1 (left) to 1."""
        length = float(self.line[:, 0].max())
        near, far = max(0.0, 1 - along / 0.9), max(0.0, 1 - (length - along) / 0.9)
        bend = _PLAN_ROUNDNESS_M * across**2 * (near - far)
        crown = 0.03 * across**2 if height > self.belt_m - 0.2 else 0.0
        offset = np.array((across * self.half_width(height), along + bend, height - crown))
        return np.asarray(self.at + offset, np.float64)

    def nose(self, across: float, height: float) -> Points:
        """Return the point of the near end at that height, just in front of the skin."""
        heights, alongs = self.line[:, 1], self.line[:, 0]
        upper = max(1, int(np.argmax(heights > height)))
        along = np.interp(height, heights[upper - 1 : upper + 1], alongs[upper - 1 : upper + 1])
        return np.asarray(self.point(float(along), height, across) - (0.0, 0.012, 0.0), np.float64)


def build_car(at: tuple[float, float], rng: np.random.Generator) -> Car:
    """Return a car of random type and paint with its near end's middle at `at` = (x, y)."""
    profile = _PROFILES[int(rng.integers(len(_PROFILES)))]
    shows_front = bool(rng.random() < 0.6)
    stretch = rng.uniform(0.95, 1.04)
    line = np.array([(along * stretch, height) for along, height, _ in profile])
    glass = tuple(bool(flag) for *_, flag in profile)
    if not shows_front:
        line = np.stack((line[:, 0].max() - line[::-1, 0], line[::-1, 1]), axis=1)
        glass = (*glass[-2::-1], False)
    belt = float(line[:, 1][list(glass).index(True)]) if shows_front else 1.05
    body = _Body(
        line=line,
        glass=glass,
        width_m=float(rng.uniform(1.74, 1.88)),
        belt_m=belt - 0.05,
        roof_m=float(line[:, 1].max()),
        at=np.array((at[0], at[1], 0.0)),
    )
    paint = _PAINTS[int(rng.integers(len(_PAINTS)))]
    end = _front(body) if shows_front else _rear(body)
    plate_height = 0.44 if shows_front else 0.70
    return Car(
        patches=(*_skin(body, paint), *_sides(body, paint), *end),
        plate_centre=body.nose(0.0, plate_height) - np.array((0.0, 0.035, 0.0)),
        plate_roll_rad=float(rng.normal(0, 0.008)),
        plate_tilt_rad=float(rng.uniform(0.0, 0.12)),
        lamps=tuple(body.nose(side * 0.76, 0.66 if profile is not _SUV else 0.80) for side in (-1, 1)),
        shows_front=shows_front,
    )


def _skin(body: _Body, paint: Bgr) -> list[Patch]:
    """Hood, windows, roof and ends: what the profile sweeps from side to side."""
    patches = []
    sides = np.linspace(-1, 1, _ACROSS + 1)
    for station in range(len(body.line) - 1):
        start, end = body.line[station], body.line[station + 1]
        pieces = max(2, int(np.hypot(*(end - start)) / 0.18))
        steps = [start + (end - start) * i / pieces for i in range(pieces + 1)]
        for lower, upper in pairwise(steps):
            for left, right in pairwise(sides):
                is_glass = body.glass[station] and left > -0.93 and right < 0.93
                corners = np.stack(
                    (
                        body.point(lower[0], lower[1], left),
                        body.point(lower[0], lower[1], right),
                        body.point(upper[0], upper[1], right),
                        body.point(upper[0], upper[1], left),
                    )
                )
                patches.append(_patch(body, corners, _GLASS if is_glass else paint, 0.9 if is_glass else 0.5))
    return patches


def _sides(body: _Body, paint: Bgr) -> list[Patch]:
    """Doors, side windows and wheels."""
    patches = []
    alongs = np.linspace(float(body.line[:, 0].min()) + 0.02, float(body.line[:, 0].max()) - 0.02, 40)
    order = np.argsort(body.line[:, 0], kind="stable")
    tops = np.interp(alongs, body.line[order, 0], body.line[order, 1])
    length = float(alongs[-1])
    for side in (-1.0, 1.0):
        for (a, top_a), (b, top_b) in pairwise(zip(alongs, tops, strict=True)):
            levels = [0.24, 0.5, 0.75, body.belt_m, body.roof_m]
            for low, high in pairwise(levels):
                if min(top_a, top_b) <= low:
                    continue
                pillar = min(abs(a - length * share) for share in (0.52, 0.72)) < 0.06
                is_glass = low >= body.belt_m - 0.01 and min(top_a, top_b) > low + 0.12 and not pillar
                corners = np.stack(
                    (
                        body.point(a, low, side),
                        body.point(b, low, side),
                        body.point(b, min(high, top_b), side),
                        body.point(a, min(high, top_a), side),
                    )
                )
                patches.append(_patch(body, corners, _GLASS if is_glass else paint, 0.7 if is_glass else 0.4))
        for axle in (0.18 * length, 0.80 * length):
            patches += [_wheel(body, axle, side, radius, colour) for radius, colour in _WHEEL]
    return patches


_WHEEL: tuple[tuple[float, Bgr], ...] = ((0.36, (12, 12, 12)), (0.31, _TYRE), (0.21, (120, 120, 118)))


def _wheel(body: _Body, along: float, side: float, radius: float, colour: Bgr) -> Patch:
    turns = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    x = body.at[0] + side * (body.half_width(0.4) + 0.02 + (0.36 - radius) * 0.05)
    corners = np.stack(
        (
            np.full_like(turns, x),
            body.at[1] + along + radius * np.cos(turns),
            0.32 + radius * np.sin(turns),
        ),
        axis=1,
    )
    return Patch(
        corners=corners, normal=np.array((side, 0.0, 0.0)), colour=colour, gloss=0.05, lies_on_skin=True
    )


def _front(body: _Body) -> list[Patch]:
    high = 0.16 if body.roof_m > 1.6 else 0.0
    patches = [
        _decal(body, (-0.72, 0.72), (0.27 + high / 3, 0.37 + high / 3), (22, 22, 22), 0.1),
        _decal(body, (-0.55, 0.55), (0.53 + high / 2, 0.66 + high), (20, 20, 21), 0.3),
    ]
    patches += [_decal(body, (-0.5, 0.5), (z, z + 0.012), (120, 120, 120), 0.5) for z in _slats(high)]
    for side in (-1, 1):
        span = (side * 0.62, side * 0.92) if side > 0 else (side * 0.92, side * 0.62)
        patches.append(_decal(body, span, (0.60 + high, 0.71 + high), (225, 222, 215), 0.6, glows=True))
        patches.append(_decal(body, span, (0.30 + high / 2, 0.36 + high / 2), (60, 60, 60), 0.4))
    return patches


def _slats(high: float) -> tuple[float, ...]:
    return tuple(0.55 + high / 2 + i * 0.035 for i in range(3))


def _rear(body: _Body) -> list[Patch]:
    patches = [
        _decal(body, (-0.8, 0.8), (0.28, 0.38), (30, 30, 30), 0.1),
        _decal(body, (-0.36, 0.36), (0.60, 0.80), (40, 40, 40), 0.2),
    ]
    for side in (-1, 1):
        span = (side * 0.60, side * 0.97) if side > 0 else (side * 0.97, side * 0.60)
        patches.append(_decal(body, span, (0.72, 0.86), (40, 30, 165), 0.6, glows=True))
    return patches


def _decal(
    body: _Body,
    across: tuple[float, float],
    heights: tuple[float, float],
    colour: Bgr,
    gloss: float,
    *,
    glows: bool = False,
) -> Patch:
    """A strip that follows the rounding of the near end."""
    run = np.linspace(*across, 8)
    lower = [body.nose(float(u), heights[0]) for u in run]
    upper = [body.nose(float(u), heights[1]) for u in run[::-1]]
    normal = np.array((0.0, -1.0, 0.1))
    return Patch(
        corners=np.stack((*lower, *upper)),
        normal=normal,
        colour=colour,
        gloss=gloss,
        glows=glows,
        lies_on_skin=True,
    )


def _patch(body: _Body, corners: Points, colour: Bgr, gloss: float) -> Patch:
    (ax, ay, az), (bx, by, bz) = corners[2] - corners[0], corners[3] - corners[1]
    normal = np.array((ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx))
    normal = normal / max(1e-9, float(np.linalg.norm(normal)))
    middle = body.at + np.array((0.0, float(body.line[:, 0].max()) / 2, 0.7))
    if normal @ (corners.mean(axis=0) - middle) < 0:
        normal = -normal
    return Patch(corners=corners, normal=normal, colour=colour, gloss=gloss)


def with_lights_off(car: Car) -> Car:
    """Return the car with its lamps dark."""
    return replace(car, patches=tuple(replace(patch, glows=False) for patch in car.patches), lamps=())
