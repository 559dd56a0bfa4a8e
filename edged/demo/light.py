"""Day and night: how bright a surface of the street appears."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edged.demo.view import Points

Colour = NDArray[np.float64]  # BGR factors


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """Ambient light and one source: the sun (a direction) or a street lamp (a place).

    `place` is a unit vector towards the sun, or the lamp's position in metres.
    """

    is_day: bool
    place: tuple[float, float, float]
    source: tuple[float, float, float]
    ambient: tuple[float, float, float]

    def on(self, points: Points, normals: Points) -> Colour:
        """Return the factor (..., 3) for surfaces at `points` that face `normals`."""
        if self.is_day:
            facing = np.maximum(0.0, normals @ np.array(self.place))
        else:
            towards = np.array(self.place) - points
            distance = np.linalg.norm(towards, axis=-1)
            cosine = np.maximum(0.0, np.einsum("...i,...i->...", normals, towards) / distance)
            facing = cosine * (6.0 / distance) ** 2
        factor: Colour = np.array(self.ambient) + facing[..., None] * np.array(self.source)
        return factor

    def shadow_of(self, points: Points) -> Points:
        """Return where `points` throw their shadow on the ground, (..., 3) with z = 0."""
        if self.is_day:
            along = np.broadcast_to(np.array(self.place), points.shape)
        else:
            along = np.array(self.place) - points
        shadow: Points = points - along * (points[..., 2:] / np.maximum(along[..., 2:], 0.2))
        return shadow


def daylight(rng: np.random.Generator) -> Light:
    """Return some hour of some day: clear or overcast."""
    azimuth, height = rng.uniform(-2.6, -0.5), rng.uniform(0.6, 1.1)
    sun = (np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height))
    strength = rng.uniform(0.35, 0.75)
    ambient = 0.95 - 0.55 * strength
    return Light(
        is_day=True,
        place=(float(sun[0]), float(sun[1]), float(sun[2])),
        source=(0.9 * strength, 0.98 * strength, 1.05 * strength),
        ambient=(1.06 * ambient, ambient, 0.95 * ambient),
    )


def lamplight(rng: np.random.Generator, centre_x: float) -> Light:
    """Return a street lamp's light, near the camera's pole."""
    strength = rng.uniform(0.6, 0.9)
    return Light(
        is_day=False,
        place=(centre_x + float(rng.uniform(-2.5, 2.5)), -3.5, 6.5),
        source=(0.72 * strength, 0.92 * strength, 1.05 * strength),
        ambient=(0.13, 0.11, 0.10),
    )
