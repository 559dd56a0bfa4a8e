"""Plates of which a character is not to be seen: cut off, or covered by what is in front of it.

A reader that never saw one makes up the missing character, and is sure of it. Here the text has a space in
its place, and the reader learns to leave the slot blank.
"""

from __future__ import annotations

import cv2
import degrade
import framing
import numpy as np
import numpy.typing as npt
from plate_art import TWO_ROWS, Cell, Picture, Rng, cells, size_mm

Quad = npt.NDArray[np.float32]


def cut_short(shot: degrade.Shot, text: str, layout: str, rng: Rng) -> tuple[Picture, str]:
    """A reader's window without most of the plate's first or last character, and the text that is left.

    So a plate looks at the picture's edge, and where its corners were found wrong.
    """
    boxes, width_mm = _boxes(layout, text, rng)
    rows = 2 if layout in TWO_ROWS else 1
    left, right = 0.0, 1.0
    if rng.random() < 0.6:
        right = (boxes[-1].x + float(rng.uniform(-0.1, 0.25)) * boxes[-1].width) / width_mm
        text = text[:-1]
    else:
        first = 2 if rows == 2 else 0
        left = (boxes[first].x + float(rng.uniform(0.75, 1.1)) * boxes[first].width) / width_mm
        text = text[:first] + " " + text[first + 1 :]
    picture, quad = shot.picture, shot.quad
    across, below = quad[1] - quad[0], quad[2] - quad[3]
    cut = np.asarray(
        [quad[0] + across * left, quad[0] + across * right, quad[3] + below * right, quad[3] + below * left],
        np.float32,
    )
    if rng.random() < 0.3:
        # The picture ends there, and what is read beyond is its last column again and again.
        low = max(0, round(float(cut[[0, 3], 0].mean()))) if left else 0
        high = picture.shape[1] if left else round(float(cut[[1, 2], 0].mean()))
        picture, cut = np.ascontiguousarray(picture[:, low:high]), quad - np.asarray([low, 0], np.float32)
    high_margin = float(rng.uniform(-0.03, 0.15))
    return framing.rectified(picture, framing.widened(cut, 0.0, high_margin), rows), text


def covered(shot: degrade.Shot, text: str, layout: str, rng: Rng) -> tuple[degrade.Shot, str]:
    """The shot with something in front of one character, or two neighbours, and the text that is left."""
    boxes, width_mm = _boxes(layout, text, rng)
    height_mm = size_mm(layout)[1]
    first = int(rng.integers(len(text)))
    picture = shot.picture.copy()
    for i in range(first, min(len(text), first + (2 if rng.random() < 0.2 else 1))):
        box = boxes[i]
        left, right = box.x - box.width * rng.uniform(-0.05, 0.2), box.x + box.width * rng.uniform(0.95, 1.2)
        top, bottom = box.y - box.height * 0.12, box.y + box.height * 1.12
        if rng.random() < 0.35:
            # Not all of it, but too much to tell an F from a P.
            part = rng.uniform(0.55, 0.9) * box.height
            top, bottom = (top, box.y + part) if rng.random() < 0.5 else (bottom - part, bottom)
        flat = np.asarray([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)
        _cover(picture, shot.quad, _onto(shot.quad, flat / (width_mm, height_mm)), rng)
        text = text[:i] + " " + text[i + 1 :]
    return degrade.Shot(picture=picture, quad=shot.quad), text


def _boxes(layout: str, text: str, rng: Rng) -> tuple[list[Cell], int]:
    return cells(layout, len(text), rng)[0], size_mm(layout)[0]


def _onto(quad: Quad, parts: Quad) -> Quad:
    """Points given in parts of the plate, as they stand in the picture."""
    unit = np.asarray([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    matrix = cv2.getPerspectiveTransform(unit, quad)
    points = cv2.perspectiveTransform(parts.astype(np.float32)[:, None], matrix)
    return np.asarray(points.reshape(-1, 2), np.float32)


def _cover(picture: Picture, plate: Quad, place: Quad, rng: Rng) -> None:
    """Paint over `place`: the plate's own ground, any colour, a blob of mud, or a light that blinds."""
    height, width = picture.shape[:2]
    mask = np.zeros((height, width), np.float32)
    how = rng.random()
    if how < 0.3:
        cv2.fillConvexPoly(mask, np.round(place * 16).astype(np.int32), 1.0, cv2.LINE_AA, 4)
        low, high = (
            np.clip(plate.min(0), 0, (width - 2, height - 2)),
            np.clip(plate.max(0), 1, (width, height)),
        )
        inside = picture[int(low[1]) : int(high[1]) + 1, int(low[0]) : int(high[0]) + 1]
        colour = np.median(inside.reshape(-1, 3), axis=0)
    elif how < 0.6:
        cv2.fillConvexPoly(mask, np.round(place * 16).astype(np.int32), 1.0, cv2.LINE_AA, 4)
        colour = np.clip(rng.integers(0, 256) + rng.normal(0, 30, 3), 0, 255)
    else:
        centre, size = place.mean(axis=0), np.ptp(place, axis=0) * rng.uniform(0.6, 0.8, 2)
        turn = float(rng.uniform(-20, 20))
        axes = (max(1, int(size[0])), max(1, int(size[1])))
        cv2.ellipse(mask, (int(centre[0]), int(centre[1])), axes, turn, 0, 360, 1.0, -1, cv2.LINE_AA)
        colour = (
            np.full(3, 255.0) if how > 0.85 else np.clip(rng.integers(20, 200) + rng.normal(0, 15, 3), 0, 255)
        )
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.3, 1.5))), np.float32)
    grain = rng.normal(0, rng.uniform(0, 12), (height, width, 1))
    painted = picture + (colour + grain - picture) * mask[:, :, None]
    picture[:] = np.clip(painted, 0, 255).astype(np.uint8)
