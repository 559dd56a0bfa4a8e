"""Street pictures with Chinese plates whose four corners are known: what the detector is trained on.

Real pictures carry the plates: on those whose plate corners are known the plate is painted over with a
drawn one of any kind, lit as the old one was; elsewhere plates are put where none was.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import plate_art
from carriers import Carrier, Picture, Quads, height_over_width
from painting import grown, overlap, paint, paint_bumper, paint_lettering, white_point
from spoil import spoil

Rng = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One training picture: Chinese plates (`quads`) and their `rows`, `foreign` ones, and ones `cut_off`."""

    image: Picture
    quads: Quads
    rows: npt.NDArray[np.int64]
    foreign: Quads
    cut_off: Quads


class PlateBank:
    """Drawn plates kept in memory: drawing one costs more than warping it."""

    def __init__(self, size: int, rng: Rng) -> None:
        glyphs = plate_art.load_glyphs(plate_art.glyph_folder())
        self.plates = []
        for _ in range(size):
            plate = plate_art.sample_plate(rng)
            art = cv2.resize(
                plate_art.draw_plate(plate, rng, glyphs), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA
            )
            self.plates.append((np.asarray(art, np.uint8), plate.rows, plate_art.size_mm(plate.layout)))

    def pick(self, rng: Rng) -> tuple[Picture, int, tuple[int, int]]:
        return self.plates[int(rng.integers(len(self.plates)))]


def compose(
    rng: Rng,
    carrier: Carrier,
    bank: PlateBank,
    *,
    width_px: int,
    height_px: int,
    plate_px: tuple[float, float],
) -> Sample:
    """A view of the carrier in which one plate (where there is one) is log-uniformly `plate_px` wide."""
    target = float(np.exp(rng.uniform(np.log(plate_px[0]), np.log(plate_px[1]))))
    view = _view(rng, carrier, target, width_px, height_px)
    # The pyramid's level nearest above the view's scale: a warp alone would alias.
    scale = float(np.sqrt(abs(np.linalg.det(view[:2, :2]))))
    source, shrink = carrier.image, 1.0
    if scale < 0.9 and rng.random() < 0.8:
        shrink = max(scale, 0.02)
        source = np.asarray(
            cv2.resize(source, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8
        )
    warp = view @ np.diag([1 / shrink, 1 / shrink, 1.0])
    border = cv2.BORDER_CONSTANT if rng.random() < 0.7 else cv2.BORDER_REPLICATE
    fill = int(rng.integers(0, 256)) if rng.random() < 0.3 else 0
    image = np.asarray(
        cv2.warpPerspective(source, warp, (width_px, height_px), borderMode=border, borderValue=(fill,) * 3),
        np.uint8,
    )
    quads = np.zeros((0, 4, 2), np.float32)
    if len(carrier.quads):
        quads = cv2.perspectiveTransform(carrier.quads.reshape(-1, 1, 2), view).reshape(-1, 4, 2)
    placed, rows, foreign = _dress(rng, image, carrier, quads, bank, target)
    image = spoil(rng, image)
    return _visible(image, placed, rows, foreign)


def _view(
    rng: Rng, carrier: Carrier, target_px: float, width_px: int, height_px: int
) -> npt.NDArray[np.float64]:
    """A homography from carrier to view: scale to the target, turn, tilt, and put the plate anywhere."""
    h, w = carrier.image.shape[:2]
    if len(carrier.quads):
        quad = carrier.quads[int(rng.integers(len(carrier.quads)))]
        centre, plate_w = quad.mean(axis=0), float(np.linalg.norm(quad[1] - quad[0]))
        scale = target_px / max(plate_w, 4.0)
        # Enlarging a small plate a lot gives mush that no camera shows.
        scale = min(scale, 2.5)
        # Nor does a postage stamp on black teach much.
        scale = max(scale, 0.7 * min(width_px / w, height_px / h))
        at = rng.uniform([0.04, 0.06], [0.96, 0.94]) * (width_px, height_px)
    else:
        scale = float(np.exp(rng.uniform(np.log(max(width_px / w, height_px / h)), np.log(2.0))))
        centre, at = rng.uniform(0.25, 0.75, 2) * (w, h), np.array([width_px / 2, height_px / 2])
    angle = float(rng.normal(0, 5) if rng.random() < 0.8 else rng.uniform(-30, 30))
    shear = float(rng.normal(0, 0.08) if rng.random() < 0.7 else rng.uniform(-0.35, 0.35))
    stretch = float(np.exp(rng.normal(0, 0.1)))
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    linear = (
        np.array([[c, -s], [s, c]])
        @ np.array([[1, 0], [shear, 1]])
        @ np.diag([scale * stretch, scale / stretch])
    )
    view = np.eye(3)
    view[:2, :2] = linear
    view[:2, 2] = at - linear @ centre
    tilt = np.eye(3)
    tilt[2, :2] = rng.normal(0, 0.0003, 2)
    back = np.eye(3)
    back[:2, 2] = at
    there = np.eye(3)
    there[:2, 2] = -at
    return np.asarray(back @ tilt @ there @ view)


def _dress(
    rng: Rng, image: Picture, carrier: Carrier, quads: Quads, bank: PlateBank, target_px: float
) -> tuple[list[Quads], list[int], list[Quads]]:
    """Paint plates into the view and return them, their rows, and the foreign ones left as they were."""
    placed: list[Quads] = []
    rows: list[int] = []
    foreign: list[Quads] = []
    keep = rng.random() < (0.2 if carrier.foreign else 0.45)
    for quad, n_rows in zip(quads, carrier.rows, strict=True):
        if keep:
            if carrier.foreign:
                foreign.append(quad)
            else:
                placed.append(quad)
                rows.append(n_rows)
            continue
        art, art_rows, size = bank.pick(rng)
        new = _fitted(rng, quad, size, covers=True)
        paint(rng, image, art, new, white=white_point(image, quad))
        placed.append(new)
        rows.append(art_rows)
    if rng.random() < (0.75 if not len(quads) else 0.12):
        for _ in range(int(rng.integers(1, 4))):
            art, art_rows, size = bank.pick(rng)
            new = _anywhere(rng, image, size, target_px)
            if any(overlap(new, old) for old in placed + foreign):
                continue
            if rng.random() < 0.7:
                paint_bumper(rng, image, new)
            paint(rng, image, art, new, white=white_point(image, grown(new, 2.0)) * rng.uniform(0.8, 1.3))
            placed.append(new)
            rows.append(art_rows)
    if rng.random() < 0.3:
        paint_lettering(rng, image, placed + foreign)
    return placed, rows, foreign


def _fitted(rng: Rng, quad: Quads, size_mm: tuple[int, int], *, covers: bool) -> Quads:
    """The quad in the new plate's shape, about its centre, wide enough to hide the old one."""
    old = max(0.2, height_over_width(quad.reshape(-1).tolist()))
    new = size_mm[1] / size_mm[0]
    grow_h = np.clip(new / 0.318, 0.9, 2.1) if old > 0.29 else np.clip(new / old, 0.9, 2.2)
    grow_w = 1.03 if covers else 1.0
    jitter = rng.normal(0, 0.012, (4, 2)) if rng.random() < 0.5 else np.zeros((4, 2))
    unit = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (grow_w, 1.03 * grow_h) / 2 + 0.5 + jitter
    to_quad = cv2.getPerspectiveTransform(
        np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32), quad.astype(np.float32)
    )
    return np.asarray(
        cv2.perspectiveTransform(unit.astype(np.float32).reshape(-1, 1, 2), to_quad).reshape(4, 2)
    )


def _anywhere(rng: Rng, image: Picture, size_mm: tuple[int, int], target_px: float) -> Quads:
    """A plate as a camera 5-50 degrees above, up to 50 degrees aside, sees it."""
    h, w = image.shape[:2]
    width = target_px * float(np.exp(rng.normal(0, 0.2)))
    pan, pitch, roll = rng.normal(0, 22), rng.uniform(0, 50), rng.normal(0, 5)
    x = np.array([-1, 1, 1, -1]) * width / 2
    y = np.array([-1, -1, 1, 1]) * width * size_mm[1] / size_mm[0] / 2
    pan, pitch, roll = np.radians(np.clip([pan, pitch, roll], -55, 55))
    px, depth = x * np.cos(pan), x * np.sin(pan)
    py, depth = y * np.cos(pitch) + depth * np.sin(pitch), y * np.sin(pitch) - depth * np.cos(pitch)
    zoom = 1 / (1 - depth / (width * rng.uniform(6, 25)))
    points = np.stack([px, py], 1) * zoom[:, None]
    c, s = np.cos(roll), np.sin(roll)
    points = points @ np.array([[c, s], [-s, c]])
    return np.asarray(points + rng.uniform([0.06, 0.06], [0.94, 0.94]) * (w, h), np.float32)


def _visible(image: Picture, placed: list[Quads], rows: list[int], foreign: list[Quads]) -> Sample:
    """Drop plates outside; those cut off by the edge or too small to see are set apart."""
    h, w = image.shape[:2]
    keep: list[Quads] = []
    kept_rows: list[int] = []
    cut_off: list[Quads] = []
    for quad, n_rows in zip(placed, rows, strict=True):
        inside = np.clip(quad, 0, (w, h)).astype(np.float32)
        area, seen = cv2.contourArea(quad.astype(np.float32)), cv2.contourArea(inside)
        if seen <= 0:
            continue
        if seen < 0.85 * area or np.linalg.norm(quad[1] - quad[0]) < 11:
            cut_off.append(quad)
            continue
        keep.append(quad)
        kept_rows.append(n_rows)
    return Sample(
        image=image,
        quads=_stacked(keep),
        rows=np.asarray(kept_rows, np.int64),
        foreign=_stacked(
            [quad for quad in foreign if (quad.max(0) > 0).all() and (quad.min(0) < (w, h)).all()]
        ),
        cut_off=_stacked(cut_off),
    )


def _stacked(quads: list[Quads]) -> Quads:
    return np.asarray(quads, np.float32).reshape(-1, 4, 2)
