"""Patches as the corner refiner sees them: a plate where the detector thought it was, roughly rectified."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import cv2
import framing
import numpy as np
import numpy.typing as npt
import street_scenes
from carriers import Carrier, Picture

sys.path.append(str(Path(__file__).resolve().parents[2]))
from edged.vision.detector import Detector
from edged.vision.manifest import load_manifest
from edged.vision.regions import Region
from edged.vision.runtime import Model

WIDTH: Final = 128
HEIGHT: Final = 64
# The plate as the detector saw it fills the middle of the patch; margins are parts of the patch.
MARGIN_X: Final = 0.2
MARGIN_Y: Final = 0.25

Quad = npt.NDArray[np.float32]
Rng = np.random.Generator


def jittered(quad: Quad, rng: Rng) -> Quad:
    """A quad as the detector might have given it."""
    width = float(np.linalg.norm(quad[1] - quad[0]))
    unit = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    strength = float(rng.choice((1.0, 1.7, 3.0), p=(0.7, 0.18, 0.12)))
    unit = unit * np.exp(rng.normal(0, (0.08 * strength, 0.14 * strength)))
    unit = (
        unit
        + rng.normal(0, (0.05 * strength, 0.1 * strength))
        + rng.normal(0, (0.02, 0.05), (4, 2)) * strength
    )
    if rng.random() < 0.15:
        # Corners as an upright box: a detector unsure of the tilt.
        low, high = quad.min(0), quad.max(0)
        quad = np.array([low, (high[0], low[1]), high, (low[0], high[1])], np.float32)
    to_quad = cv2.getPerspectiveTransform(
        np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], np.float32), quad.astype(np.float32)
    )
    moved = cv2.perspectiveTransform(unit.astype(np.float32).reshape(-1, 1, 2), to_quad).reshape(4, 2)
    turn = np.radians(rng.normal(0, 2.5 * strength))
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    centre = moved.mean(0)
    return np.asarray((moved - centre) @ rotation + centre + rng.normal(0, 0.002 * width, 2), np.float32)


def patch_of(image: Picture, quad: Quad) -> tuple[Picture, npt.NDArray[np.float64]]:
    """The patch around a quad, and the homography from picture to patch."""
    grown = framing.widened(quad, MARGIN_X / (1 - 2 * MARGIN_X), MARGIN_Y / (1 - 2 * MARGIN_Y))
    target = np.asarray([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], np.float32)
    matrix = cv2.getPerspectiveTransform(grown - np.float32(0.5), target - np.float32(0.5))
    patch = cv2.warpPerspective(
        image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(patch, np.uint8), np.asarray(matrix)


def patches(sample: street_scenes.Sample, rng: Rng) -> list[tuple[Picture, npt.NDArray[np.float32]]]:
    """Patches of one picture with their targets: each plate three times and cut out, and what is no plate."""
    out = []
    for quad, rows in zip(sample.quads, sample.rows, strict=True):
        views = [(sample.image, quad, jittered(quad, rng)) for _ in range(3)]
        for image, corners, thought in [*views, cut_out(sample.image, quad, rng)]:
            patch, matrix = patch_of(image, thought)
            places = cv2.perspectiveTransform(
                (corners - 0.5).reshape(-1, 1, 2).astype(np.float32), matrix
            ).reshape(4, 2)
            places = (places + 0.5) / (WIDTH, HEIGHT)
            # Where half a plate is seen it is told on which side the other half must be.
            known = bool((places > -0.35).all() and (places < 1.35).all())
            out.append((patch, np.array([1, 1, rows == 2, known, *places.reshape(-1)], np.float32)))
    for quad in sample.foreign:
        if np.linalg.norm(quad[1] - quad[0]) > 34:
            out.append((patch_of(sample.image, jittered(quad, rng))[0], np.zeros(12, np.float32)))
    for _ in range(2):
        quad = anything(sample, rng)
        if quad is not None:
            out.append((patch_of(sample.image, quad)[0], np.zeros(12, np.float32)))
    return out


def cut_out(image: Picture, quad: Quad, rng: Rng) -> tuple[Picture, Quad, Quad]:
    """The picture cut to the plate's upright box as cut-out files are, the quad in it, its own corners."""
    low, high = quad.min(0), quad.max(0)
    size = high - low
    low, high = low - rng.uniform(-0.03, 0.08, 2) * size, high + rng.uniform(-0.03, 0.08, 2) * size
    left, top = np.clip(np.round(low), 0, None).astype(int)
    right, bottom = np.maximum(np.round(high).astype(int), (left + 8, top + 4))
    cut = image[top:bottom, left:right]
    height, width = cut.shape[:2]
    whole = np.asarray([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    return cut, np.asarray(quad - (left, top), np.float32), whole


def mistaken_for_plates(carriers: list[Carrier], models: Path) -> list[tuple[int, Quad]]:
    """What the detector in `models` takes for plates on pictures without Chinese ones: carrier index, quad.

    Headlights, badges, signs and foreign plates: the negatives that chance hardly ever hits.
    """
    spec = load_manifest(models).detector
    detector = Detector(Model(spec.model.path, spec.model.sha256), spec)
    found = []
    for i, carrier in enumerate(carriers):
        if not carrier.foreign:
            continue
        height, width = carrier.image.shape[:2]
        whole = Region(left=0, top=0, right=width, bottom=height)
        fitting = detector.fitting_scale(whole)
        for scale in (fitting, min(2.0, 2 * fitting)):
            found += [(i, candidate.corners) for candidate in detector.find(carrier.image, whole, scale)]
    return found


def anything(sample: street_scenes.Sample, rng: Rng) -> Quad | None:
    """A plate-shaped quad that touches no plate, where there is something to see."""
    h, w = sample.image.shape[:2]
    taken = np.concatenate([sample.quads, sample.cut_off, sample.foreign])
    for _ in range(4):
        width = float(np.exp(rng.uniform(np.log(16), np.log(140))))
        height = width * rng.uniform(0.22, 0.6)
        centre = rng.uniform(
            (width / 2, height / 2), (max(width / 2 + 1, w - width / 2), max(height / 2 + 1, h - height / 2))
        )
        quad = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, height / 2) + centre
        quad = jittered(quad.astype(np.float32), rng)
        low, high = quad.min(0), quad.max(0)
        if any((low < q.max(0)).all() and (q.min(0) < high).all() for q in taken):
            continue
        x1, y1 = np.clip(low, 0, (w - 1, h - 1)).astype(int)
        x2, y2 = np.clip(high, 1, (w, h)).astype(int)
        if sample.image[y1:y2, x1:x2].std() > 6 or rng.random() < 0.15:
            return quad
    return None
