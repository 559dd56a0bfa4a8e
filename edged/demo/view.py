"""A pole camera as a pinhole: where points of the street fall in its picture.

Street coordinates in metres: x to the right along the kerb, y away from the camera, z up.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Where the camera hangs, what it looks at, and how finely it sees."""

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    focal_px: float
    width_px: int
    height_px: int

    def scaled(self, factor: int) -> "View":
        """Return the same view with `factor` times as many pixels a side."""
        return View(
            position=self.position,
            target=self.target,
            focal_px=self.focal_px * factor,
            width_px=self.width_px * factor,
            height_px=self.height_px * factor,
        )

    def project(self, points: Points) -> Points:
        """Return the pixels (..., 2) of street points (..., 3) in front of the camera."""
        seen = (points - np.array(self.position)) @ _axes(self.position, self.target).T
        pixels: Points = seen[..., :2] / seen[..., 2:] * self.focal_px
        return pixels + np.array((self.width_px, self.height_px)) / 2

    def plane_homography(self, origin: Points, right: Points, down: Points) -> Points:
        """Return the 3x3 matrix from coordinates (a, b) of the plane origin + a*right + b*down to pixels."""
        axes = _axes(self.position, self.target)
        columns = np.stack((right, down, origin - np.array(self.position)), axis=1)
        centre_x, centre_y = self.width_px / 2, self.height_px / 2
        inner = np.array(((self.focal_px, 0, centre_x), (0, self.focal_px, centre_y), (0, 0, 1.0)))
        matrix: Points = inner @ axes @ columns
        return matrix

    def distance(self, points: Points) -> Points:
        """Return how far street points (..., 3) are from the camera, in metres."""
        return np.asarray(np.linalg.norm(points - np.array(self.position), axis=-1), np.float64)


@cache
def _axes(position: tuple[float, float, float], target: tuple[float, float, float]) -> Points:
    """Return the camera's right, down and forward axes as rows."""
    forward = np.array(target) - np.array(position)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right = right / np.linalg.norm(right)
    return np.stack((right, np.cross(forward, right), forward))
