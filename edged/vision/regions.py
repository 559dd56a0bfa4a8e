"""Which part of a frame is looked at, and whether a plate stands in a berth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edged.domain.reading import Quad
from edged.vision.errors import BadFrame

Polygon = Sequence[tuple[int, int]]

# A plate may hang over the berth's line by this part of its width.
_OVERHANG = 0.5
# What is added around a berth's polygon: the plate of a vehicle that stands a little out.
_TILE_MARGIN = 0.06


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """The part of a frame to look at, px."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


def surroundings(polygon: Polygon, width: int, height: int) -> Region:
    """Return the polygon's box with a margin, inside a frame of that size.

    Raises BadFrame when nothing of it lies there.
    """
    xs, ys = [x for x, _ in polygon], [y for _, y in polygon]
    margin_x, margin_y = _TILE_MARGIN * (max(xs) - min(xs)) + 8, _TILE_MARGIN * (max(ys) - min(ys)) + 8
    left, right = max(0, round(min(xs) - margin_x)), min(width, round(max(xs) + margin_x))
    top, bottom = max(0, round(min(ys) - margin_y)), min(height, round(max(ys) + margin_y))
    if right - left < 8 or bottom - top < 8:
        raise BadFrame(
            "",
            f"the berth's polygon {list(polygon)} lies outside the {width}x{height} frame",
            "correct the polygon or the camera's resolution",
        )
    return Region(left=left, top=top, right=right, bottom=bottom)


def stands_in(corners: Quad, polygon: Polygon) -> bool:
    """Tell whether a plate's centre lies in the polygon, or no more than half its width outside."""
    x, y = (sum(point[axis] for point in corners) / 4 for axis in (0, 1))
    inside_px = cv2.pointPolygonTest(np.asarray(polygon, np.float32), (x, y), True)
    return bool(inside_px >= -_OVERHANG * math.dist(corners[0], corners[1]))


def tiles(whole: Region, size: tuple[int, int], overlap: int) -> list[Region]:
    """Return regions of `size` that cover the whole and overlap at least so much, evenly spread."""
    spans = []
    for length, tile in zip((whole.width, whole.height), size, strict=True):
        count = 1 if length <= tile else math.ceil((length - overlap) / max(1, tile - overlap))
        step = (length - tile) / max(1, count - 1)
        spans.append([(max(0, round(i * step)), min(length, round(i * step) + tile)) for i in range(count)])
    return [
        Region(left=left, top=top, right=right, bottom=bottom)
        for top, bottom in spans[1]
        for left, right in spans[0]
    ]
