"""A plate typeface of the project's own: outlines and strokes from plate_face.json, drawn as masks.

Close to the characters of GA 36 plates (even, heavy strokes in a box of 45x90 mm). The demo's cars carry
it, so that the models are shown letters that their training never saw, and `edged read --annotate` writes
plates with it: OpenCV's own fonts have no Chinese.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

BOX_MM = (45.0, 90.0)

_Points = NDArray[np.float64]  # n x 2, mm in the box
_PX_PER_MM = 8  # fine enough to be shrunk to any plate


@dataclass(frozen=True, slots=True, kw_only=True)
class _Character:
    pen_mm: tuple[float, float]  # width, height
    outlines: tuple[_Points, ...]
    strokes: tuple[_Points, ...]


def draw_character(text: str, *, width_px: int, height_px: int) -> NDArray[np.float32]:
    """Return the coverage (0-1, height x width) of one character stretched to that box.

    Raises KeyError for a character that no plate carries.
    """
    character = _face()[text]
    pen_x_mm, pen_y_mm = character.pen_mm
    # stretched so that the oval pen becomes a round one
    scale = np.array((1.0, pen_x_mm / pen_y_mm)) * _PX_PER_MM
    width, height = (round(float(side)) for side in np.array(BOX_MM) * scale)
    mask = np.zeros((height, width), np.uint8)
    pen_px = pen_x_mm * _PX_PER_MM
    if character.outlines:
        outlines = [np.rint(points * scale).astype(np.int32) for points in character.outlines]
        cv2.fillPoly(mask, outlines, 255)
        cv2.polylines(mask, outlines, True, 255, round(pen_px))
    for stroke in character.strokes:
        _draw_stroke(mask, stroke * scale, pen_px)
    small = cv2.resize(mask, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return (np.asarray(small, np.float32) / 255).astype(np.float32)


def _draw_stroke(mask: NDArray[np.uint8], points: _Points, pen_px: float) -> None:
    """Draw a line with flat ends: one bar per segment, discs where segments meet."""
    for start, end in pairwise(points):
        along = end - start
        length = float(np.hypot(*along))
        if length == 0:
            continue
        across = np.array((-along[1], along[0])) / length * pen_px / 2
        bar = np.array((start + across, end + across, end - across, start - across))
        cv2.fillConvexPoly(mask, np.rint(bar).astype(np.int32), 255)
    closed = bool(np.allclose(points[0], points[-1]))
    for joint in points if closed else points[1:-1]:
        cv2.circle(mask, (round(float(joint[0])), round(float(joint[1]))), round(pen_px / 2), 255, -1)


@cache
def _face() -> dict[str, _Character]:
    text = resources.files("edged.picture").joinpath("plate_face.json").read_text(encoding="utf-8")
    characters = cast(dict[str, dict[str, object]], json.loads(text)["characters"])
    return {
        name: _Character(
            pen_mm=_pair(entry["pen"]),
            outlines=_lines(entry.get("outlines", [])),
            strokes=_lines(entry.get("strokes", [])),
        )
        for name, entry in characters.items()
    }


def _lines(entries: object) -> tuple[_Points, ...]:
    lines = cast(list[list[int]], entries)
    return tuple(np.array(line, np.float64).reshape(-1, 2) / 10 for line in lines)


def _pair(entry: object) -> tuple[float, float]:
    width, height = cast(list[int], entry)
    return width / 10, height / 10
