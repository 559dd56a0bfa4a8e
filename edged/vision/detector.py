"""Finding plates: a heat map at two strides with four corner offsets, then each candidate's corners refined.

The networks take rows folded, some pixels to a channel vector: the same bytes, seen in another shape. A stem
on 3 channels is what an int8 kernel does worst.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.domain.reading import Quad
from edged.picture import Image
from edged.vision.errors import INSTALL_ONE_RELEASE, ModelMismatch
from edged.vision.manifest import DetectorSpec, RefinerSpec
from edged.vision.ranking import same_place
from edged.vision.rectifier import Corners, warped, widened
from edged.vision.regions import Region
from edged.vision.runtime import Int8, Model, Output

_MAX_CELLS = 200
# Boxes that share more than this of the smaller one are one plate.
_SAME_PLATE = 0.45
_FARTHER_OFF = 1.12
# Twice the area of a plate's smallest corner triangle, px: flatter ones hold no characters.
_SMALLEST_PX2 = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A possible plate: corners in px of the frame, scores 0-1."""

    corners: Corners
    score: float
    two_rows: float


class Detector:
    """Finds candidates in regions of a frame."""

    def __init__(self, model: Model, spec: DetectorSpec) -> None:
        _, self.height_px, columns, channels = model.input_shape
        if channels % 3 or len(model.outputs) != 4:
            raise ModelMismatch(
                str(spec.model.path), f"not a plate detector: input {model.input_shape}", INSTALL_ONE_RELEASE
            )
        self.width_px = columns * channels // 3
        self._model = model
        self._score_from = spec.score_from
        self._canvas = np.zeros((self.height_px, self.width_px, 3), np.uint8)
        shapes = {output.shape[1:]: i for i, output in enumerate(model.outputs)}
        self._levels = [
            (self.height_px // height, shapes[height, width, 2], shapes[height, width, 8])
            for height, width in sorted({shape[:2] for shape in shapes}, reverse=True)
        ]

    def fitting_scale(self, region: Region) -> float:
        """Return the scale at which the region just fits the canvas."""
        return min(self.width_px / region.width, self.height_px / region.height)

    def find(self, image: Image, region: Region, scale: float) -> list[Candidate]:
        """Return candidates of the region seen at `scale`, best first, each plate once."""
        part = image[region.top : region.bottom, region.left : region.right]
        width = min(self.width_px, max(1, round(region.width * scale)))
        height = min(self.height_px, max(1, round(region.height * scale)))
        self._canvas[height:] = 0
        self._canvas[:height, width:] = 0
        shrunk(part, width, height, out=self._canvas[:height, :width])
        outputs = self._model.run(self._canvas)
        back = np.asarray((region.width / width, region.height / height), np.float32)
        origin = np.asarray((region.left, region.top), np.float32)
        quads, scores = [], []
        for stride, logits, corners in self._levels:
            seen = decoded(
                (outputs[logits][0], self._model.outputs[logits]),
                (outputs[corners][0], self._model.outputs[corners]),
                stride,
                self._score_from,
            )
            quads.append(seen[0] * back + origin)
            scores.append(seen[1])
        return _first_of_each(np.concatenate(quads), np.concatenate(scores))


class Refiner:
    """Finds a candidate's corners again on a patch cut from the full frame."""

    def __init__(self, model: Model, spec: RefinerSpec) -> None:
        _, self._height, columns, channels = model.input_shape
        shapes = {output.shape[-1]: i for i, output in enumerate(model.outputs)}
        if channels % 3 or shapes.keys() != {2, 8}:
            raise ModelMismatch(
                str(spec.model.path), f"not a corner refiner: input {model.input_shape}", INSTALL_ONE_RELEASE
            )
        self._logits, self._places = shapes[2], shapes[8]
        self._width = columns * channels // 3
        self._model = model
        self._spec = spec
        # Margins are parts of the patch; `widened` takes parts of the plate.
        self._grow_x = spec.margin_x / (1 - 2 * spec.margin_x)
        self._grow_y = spec.margin_y / (1 - 2 * spec.margin_y)

    def refine(self, image: Image, candidate: Candidate) -> Candidate:
        """Return the candidate with corners, plate score and rows as the patch around it shows them."""
        quad = widened(candidate.corners, self._grow_x, self._grow_y)
        patch, matrix = warped(image, quad, self._width, self._height)
        values = self._model.run(patch)
        plate, two_rows = _real(values[self._logits][0], self._model.outputs[self._logits]).tolist()
        places = _real(values[self._places][0], self._model.outputs[self._places])
        points = places.reshape(4, 1, 2) * (self._width, self._height) - 0.5
        back = cv2.perspectiveTransform(points.astype(np.float32), np.linalg.inv(matrix)).reshape(4, 2) + 0.5
        return Candidate(
            corners=np.asarray(back, np.float32), score=_sigmoid(plate), two_rows=_sigmoid(two_rows)
        )

    def refine_again(self, image: Image, refined: Candidate) -> Candidate:
        """Return a refined plate looked at from a little farther off as well.

        Both estimates are averaged: they err apart.
        """
        centre = refined.corners.mean(axis=0)
        farther_off = centre + (refined.corners - centre) * np.float32(_FARTHER_OFF)
        second = self.refine(image, replace(refined, corners=farther_off))
        return Candidate(
            corners=(refined.corners + second.corners) / 2,
            score=(refined.score + second.score) / 2,
            two_rows=(refined.two_rows + second.two_rows) / 2,
        )


def shrunk(part: Image, width: int, height: int, out: Image | None = None) -> Image:
    """Return `part` resized, into `out`; halved by area while possible: that is fast and does not alias."""
    while part.shape[1] >= 2 * width and part.shape[0] >= 2 * height:
        half = (part.shape[1] // 2, part.shape[0] // 2)
        if half == (width, height):
            return np.asarray(cv2.resize(part, half, dst=out, interpolation=cv2.INTER_AREA), np.uint8)
        part = np.asarray(cv2.resize(part, half, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(part, (width, height), dst=out, interpolation=cv2.INTER_LINEAR), np.uint8)


def decoded(
    logits: tuple[Int8, Output], corners: tuple[Int8, Output], stride: int, score_from: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return one stride's candidates: corners n x 4 x 2 in px of the canvas, scores n x 2 (plate, two rows).

    From logits H x W x 2 and corners H x W x 8, in strides.
    """
    values, form = logits
    heat = values[:, :, 0]
    # Compared as integers: most cells are never turned into real numbers.
    floor = np.log(score_from / (1 - score_from)) / form.scale + form.zero_point
    y, x = np.nonzero(heat >= np.clip(np.ceil(floor), -128, 127).astype(np.int8))
    if len(y) > _MAX_CELLS:
        best = np.argsort(heat[y, x])[-_MAX_CELLS:]
        y, x = y[best], x[best]
    centres = np.stack([x + 0.5, y + 0.5], axis=1)[:, None].astype(np.float32)
    quads = (_real(corners[0][y, x].reshape(-1, 4, 2), corners[1]) + centres) * np.float32(stride)
    return quads, 1 / (1 + np.exp(-_real(values[y, x], form)))


def distinct(candidates: list[Candidate]) -> list[Candidate]:
    """Return the best candidate of each plate, best first."""
    if not candidates:
        return []
    scores = np.asarray([(candidate.score, candidate.two_rows) for candidate in candidates], np.float32)
    return _first_of_each(np.stack([candidate.corners for candidate in candidates]), scores)


def views_of_each(candidates: list[Candidate]) -> list[list[Candidate]]:
    """Return the candidates by plate, the best views first: one lies on another or on a part of it."""
    groups: list[list[Candidate]] = []
    for candidate in sorted(candidates, key=lambda c: c.score, reverse=True):
        for group in groups:
            if same_place(points_of(candidate.corners), points_of(group[0].corners)):
                group.append(candidate)
                break
        else:
            groups.append([candidate])
    return groups


def is_sound(corners: Corners) -> bool:
    """Tell whether the quad is convex, clockwise and large enough to hold characters."""
    sides = np.roll(corners, -1, axis=0) - corners
    after = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0]
    return bool((turns >= _SMALLEST_PX2).all()) and float(np.linalg.norm(sides[0])) >= 12


def points_of(corners: Corners) -> Quad:
    """Return the corners as points."""
    a, b, c, d = ((float(x), float(y)) for x, y in corners)
    return a, b, c, d


def _first_of_each(quads: NDArray[np.float32], scores: NDArray[np.float32]) -> list[Candidate]:
    order = np.argsort(-scores[:, 0], kind="stable")
    quads, scores = quads[order], scores[order]
    low, high = quads.min(axis=1), quads.max(axis=1)
    sides = np.clip(np.minimum(high[:, None], high) - np.maximum(low[:, None], low), 0, None)
    areas = np.prod(high - low, axis=1)
    same = np.prod(sides, axis=2) > _SAME_PLATE * np.minimum(areas[:, None], areas)
    free = np.ones(len(order), bool)
    kept = []
    for i in range(len(order)):
        if free[i]:
            kept.append(i)
            free &= ~same[i]
    return [
        Candidate(corners=quads[i], score=float(scores[i, 0]), two_rows=float(scores[i, 1])) for i in kept
    ]


def _real(values: NDArray[np.int8], form: Output) -> NDArray[np.float32]:
    return (values.astype(np.float32) - np.float32(form.zero_point)) * np.float32(form.scale)


def _sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))
