"""Plates, the panels they hang on and lettering that is none, painted into pictures in place."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from carriers import Picture, Quads

Rng = np.random.Generator

_WORDS: Final = (
    "TAXI",
    "0571-88",
    "SALE",
    "13800138000",
    "VOLVO",
    "STOP",
    "P 24h",
    "BMW 320",
    "B 123 XYZ",
    "CAFE",
)


def grown(quad: Quads, factor: float) -> Quads:
    """The quad, larger about its centre."""
    centre = quad.mean(axis=0)
    return np.asarray(centre + (quad - centre) * factor, np.float32)


def overlap(a: Quads, b: Quads) -> bool:
    """Whether the upright boxes around two quads share anything."""
    return bool((a.min(0) < b.max(0)).all() and (b.min(0) < a.max(0)).all())


def _crop(image: Picture, quad: Quads) -> tuple[slice, slice]:
    h, w = image.shape[:2]
    x1, y1 = np.clip(np.floor(quad.min(0)), 0, (w - 1, h - 1)).astype(int)
    x2, y2 = np.clip(np.ceil(quad.max(0)) + 1, (x1 + 1, y1 + 1), (w, h)).astype(int)
    return slice(y1, y2), slice(x1, x2)


def white_point(image: Picture, quad: Quads) -> npt.NDArray[np.float32]:
    """How white paint looks there: a high percentile of what is there now, its colour cast half believed."""
    patch = image[_crop(image, quad)].reshape(-1, 3).astype(np.float32)
    grey = patch.mean(axis=1)
    bright = patch[grey >= np.percentile(grey, 88)].mean(axis=0)
    return np.asarray(np.clip(0.5 * bright + 0.5 * bright.mean(), 25, 255), np.float32)


def paint(rng: Rng, image: Picture, art: Picture, quad: Quads, *, white: npt.NDArray[np.float32]) -> None:
    """Warp the drawn plate onto `image` in place, lit by `white`, with shade and soft edges."""
    rows, cols = _crop(image, grown(quad, 1.15))
    h, w = rows.stop - rows.start, cols.stop - cols.start
    width = max(6.0, float(np.linalg.norm(quad[1] - quad[0])))
    shrink = min(1.0, 1.3 * width / art.shape[1])
    small = cv2.resize(art, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA).astype(np.float32)
    small *= np.asarray(white, np.float32) / np.float32(255) * np.float32(rng.uniform(0.85, 1.15))
    small += np.float32(rng.uniform(0, 0.12)) * np.asarray(
        white, np.float32
    )  # haze and reflection lift the dark
    if rng.random() < 0.3:
        small *= _shade(rng, small.shape[0], small.shape[1])
    sh, sw = small.shape[:2]
    corners = np.array([[0, 0], [sw, 0], [sw, sh], [0, sh]], np.float32) - np.float32(0.5)
    warp = cv2.getPerspectiveTransform(corners, (quad - (cols.start, rows.start)).astype(np.float32))
    plate = cv2.warpPerspective(small, warp, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpPerspective(np.ones((sh, sw), np.float32), warp, (w, h), flags=cv2.INTER_LINEAR)
    blur = float(rng.uniform(0.25, 0.7))
    alpha = cv2.GaussianBlur(alpha, (0, 0), blur)[:, :, None]
    patch = image[rows, cols].astype(np.float32)
    patch += alpha * (plate - patch)
    image[rows, cols] = np.clip(patch, 0, 255).astype(np.uint8)


def _shade(rng: Rng, height: int, width: int) -> npt.NDArray[np.float32]:
    """A soft-edged shadow line across the plate."""
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    line = (x / width - 0.5) * np.cos(angle) + (y / height - 0.5) * np.sin(angle) - rng.uniform(-0.4, 0.4)
    lit = 1 / (1 + np.exp(-line * rng.uniform(4, 40)))
    return np.asarray(1 - rng.uniform(0.2, 0.7) * lit, np.float32)[:, :, None]


def paint_bumper(rng: Rng, image: Picture, quad: Quads) -> None:
    """A body-coloured or black panel behind a plate put on the road, so that it hangs on something."""
    panel = grown(quad, float(rng.uniform(1.1, 3.0))) + rng.normal(0, 2, 2).astype(np.float32)
    colour = rng.integers(0, 256, 3) if rng.random() < 0.4 else np.repeat(rng.integers(0, 256), 3)
    layer = image.copy()
    cv2.fillConvexPoly(layer, panel.astype(np.int32), tuple(int(v) for v in colour), cv2.LINE_AA)
    weight = float(rng.uniform(0.5, 1.0))
    cv2.addWeighted(layer, weight, image, 1 - weight, 0, dst=image)


def paint_lettering(rng: Rng, image: Picture, plates: list[Quads]) -> None:
    """Signs, stickers and phone numbers: coloured boards with letters that are no plates."""
    for _ in range(int(rng.integers(1, 4))):
        word = _WORDS[int(rng.integers(len(_WORDS)))]
        size = float(rng.uniform(0.25, 1.4))
        thick = int(rng.integers(1, 3))
        (tw, th), _ = cv2.getTextSize(word, int(rng.integers(0, 5)), size, thick)
        x, y = int(rng.integers(0, max(1, image.shape[1] - tw))), int(rng.integers(th, image.shape[0]))
        m = int(th * rng.uniform(0.3, 1.5))
        board = np.array(
            [[x - m, y - th - m], [x + tw + m, y - th - m], [x + tw + m, y + m], [x - m, y + m]], np.float32
        )
        if any(overlap(board, quad) for quad in plates):
            continue
        if rng.random() < 0.8:
            cv2.fillConvexPoly(image, board.astype(np.int32), tuple(int(v) for v in rng.integers(0, 256, 3)))
        ink = tuple(int(v) for v in rng.integers(0, 256, 3))
        cv2.putText(image, word, (x, y), int(rng.integers(0, 5)), size, ink, thick, cv2.LINE_AA)
