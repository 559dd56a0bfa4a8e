"""Street pictures with Chinese plates whose four corners are known: what the detector is trained on.

Real pictures carry the plates: on those whose plate corners are known the plate is painted over with a
drawn one of any kind, lit as the old one was; elsewhere plates are put where none was. Scenes whose names
begin with 0-3 are the validation set and are never loaded here.
"""

from __future__ import annotations

import csv
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import plate_art

Picture = npt.NDArray[np.uint8]
Quads = npt.NDArray[np.float32]  # n x 4 x 2, px, clockwise from top left
Rng = np.random.Generator

MAX_CARRIER_PX: Final = 1600  # longer pictures are shrunk when loaded: memory
HELD_OUT: Final = frozenset("0123")


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """A picture, its plates' corners, how many rows each has, and whether they are foreign."""

    name: str
    image: Picture
    quads: Quads
    rows: tuple[int, ...]
    foreign: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One training picture: Chinese plates (`quads`) and their `rows`, `foreign` ones, and ones `cut_off`."""

    image: Picture
    quads: Quads
    rows: npt.NDArray[np.int64]
    foreign: Quads
    cut_off: Quads


def plates_folder() -> Path:
    return Path(os.environ.get("EDGED_TEST_DATA", "../shared")) / "plates"


def is_held_out(name: str) -> bool:
    """Scenes by the first character of their names; street pictures, named otherwise, one in four."""
    stem = Path(name).name
    if name.startswith("scenes/") or name.startswith("crops/"):
        return stem[0] in HELD_OUT
    return zlib.crc32(stem.encode()) % 4 == 0


def load_carriers(folder: Path, *, held_out: bool = False) -> list[Carrier]:
    """All scenes and street pictures of one side of the split; OSError names a missing label file."""
    carriers = []
    for name, places, rows, foreign in _labelled(folder):
        if is_held_out(name) != held_out:
            continue
        image = cv2.imread(str(folder / name), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f"{folder / name}: not a picture")
        scale = min(1.0, MAX_CARRIER_PX / max(image.shape[:2]))
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        quads = np.asarray(places, np.float32).reshape(-1, 4, 2) * np.float32(scale)
        carriers.append(
            Carrier(name=name, image=np.asarray(image, np.uint8), quads=quads, rows=rows, foreign=foreign)
        )
    return carriers


def _labelled(folder: Path) -> list[tuple[str, list[list[float]], tuple[int, ...], bool]]:
    scenes: dict[str, list[tuple[list[float], int]]] = {}
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["kind"] == "scene":
                shape, _, numbers = row["corners_or_box_px"].partition(":")
                values = [float(v) for v in numbers.split(",")]
                quad = values if shape == "corners" else _box_quad(values)
                tall = _height_over_width(quad) > 0.42
                scenes.setdefault(row["file"], []).append(
                    (quad, 2 if tall and row["colour"] == "yellow" else 1)
                )
    out = [(name, [q for q, _ in v], tuple(r for _, r in v), False) for name, v in scenes.items()]
    street = folder / "street" / "labels.csv"
    if street.exists():
        with street.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                quads = [
                    _box_quad([float(v) for v in box.split(",")]) for box in row["boxes"].split(";") if box
                ]
                name = _street_path(folder, row["file"])
                out.append((name, quads, (1,) * len(quads), True))
    return out


def _street_path(folder: Path, name: str) -> str:
    """Street files are listed as owner/folder/file; on disk owner and folder are one name."""
    for candidate in (f"street/{name}", f"street/{name.replace('/', '+', 1)}"):
        if (folder / candidate).exists():
            return candidate
    raise FileNotFoundError(f"{folder}/street: {name} is in labels.csv but not in the folder")


def _box_quad(box: list[float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def _height_over_width(quad: list[float]) -> float:
    p = np.asarray(quad).reshape(4, 2)
    return float(np.linalg.norm(p[3] - p[0]) / max(1e-6, np.linalg.norm(p[1] - p[0])))


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
        _paint(rng, image, art, new, white=_white_point(image, quad))
        placed.append(new)
        rows.append(art_rows)
    if rng.random() < (0.75 if not len(quads) else 0.12):
        for _ in range(int(rng.integers(1, 4))):
            art, art_rows, size = bank.pick(rng)
            new = _anywhere(rng, image, size, target_px)
            if any(_overlap(new, old) for old in placed + foreign):
                continue
            if rng.random() < 0.7:
                _paint_bumper(rng, image, new)
            _paint(rng, image, art, new, white=_white_point(image, _grown(new, 2.0)) * rng.uniform(0.8, 1.3))
            placed.append(new)
            rows.append(art_rows)
    if rng.random() < 0.3:
        _paint_lettering(rng, image, placed + foreign)
    return placed, rows, foreign


def _fitted(rng: Rng, quad: Quads, size_mm: tuple[int, int], *, covers: bool) -> Quads:
    """The quad in the new plate's shape, about its centre, wide enough to hide the old one."""
    old = max(0.2, _height_over_width(quad.reshape(-1).tolist()))
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


def _grown(quad: Quads, factor: float) -> Quads:
    centre = quad.mean(axis=0)
    return np.asarray(centre + (quad - centre) * factor, np.float32)


def _overlap(a: Quads, b: Quads) -> bool:
    return bool((a.min(0) < b.max(0)).all() and (b.min(0) < a.max(0)).all())


def _crop(image: Picture, quad: Quads) -> tuple[slice, slice]:
    h, w = image.shape[:2]
    x1, y1 = np.clip(np.floor(quad.min(0)), 0, (w - 1, h - 1)).astype(int)
    x2, y2 = np.clip(np.ceil(quad.max(0)) + 1, (x1 + 1, y1 + 1), (w, h)).astype(int)
    return slice(y1, y2), slice(x1, x2)


def _white_point(image: Picture, quad: Quads) -> npt.NDArray[np.float32]:
    """How white paint looks there: a high percentile of what is there now, its colour cast half believed."""
    patch = image[_crop(image, quad)].reshape(-1, 3).astype(np.float32)
    grey = patch.mean(axis=1)
    bright = patch[grey >= np.percentile(grey, 88)].mean(axis=0)
    return np.asarray(np.clip(0.5 * bright + 0.5 * bright.mean(), 25, 255), np.float32)


def _paint(rng: Rng, image: Picture, art: Picture, quad: Quads, *, white: npt.NDArray[np.float32]) -> None:
    """Warp the drawn plate onto `image` in place, lit by `white`, with shade and soft edges."""
    rows, cols = _crop(image, _grown(quad, 1.15))
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


def _paint_bumper(rng: Rng, image: Picture, quad: Quads) -> None:
    """A body-coloured or black panel behind a plate put on the road, so that it hangs on something."""
    panel = _grown(quad, float(rng.uniform(1.1, 3.0))) + rng.normal(0, 2, 2).astype(np.float32)
    colour = rng.integers(0, 256, 3) if rng.random() < 0.4 else np.repeat(rng.integers(0, 256), 3)
    layer = image.copy()
    cv2.fillConvexPoly(layer, panel.astype(np.int32), tuple(int(v) for v in colour), cv2.LINE_AA)
    weight = float(rng.uniform(0.5, 1.0))
    cv2.addWeighted(layer, weight, image, 1 - weight, 0, dst=image)


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


def _paint_lettering(rng: Rng, image: Picture, plates: list[Quads]) -> None:
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
        if any(_overlap(board, quad) for quad in plates):
            continue
        if rng.random() < 0.8:
            cv2.fillConvexPoly(image, board.astype(np.int32), tuple(int(v) for v in rng.integers(0, 256, 3)))
        ink = tuple(int(v) for v in rng.integers(0, 256, 3))
        cv2.putText(image, word, (x, y), int(rng.integers(0, 5)), size, ink, thick, cv2.LINE_AA)


def spoil(rng: Rng, image: Picture) -> Picture:
    """What a camera does: exposure, cast, night, glare, blur, noise, JPEG."""
    out = image.astype(np.float32)
    if rng.random() < 0.6:
        out = (out - 128) * rng.uniform(0.55, 1.35) + 128 + rng.normal(0, 22)
    if rng.random() < 0.35:
        out *= rng.uniform(0.75, 1.25, 3).astype(np.float32)
    if rng.random() < 0.12:
        out *= rng.uniform(0.15, 0.5)  # night
    if rng.random() < 0.08:
        out = np.repeat(out.mean(axis=2, keepdims=True), 3, axis=2)  # infrared, grey cameras
    if rng.random() < 0.12:
        _glare(rng, out)
    kind = rng.random()
    if kind < 0.22:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.4, 1.5)))
    elif kind < 0.34:
        out = cv2.filter2D(out, -1, _motion(rng))
    elif kind < 0.5:
        soft = cv2.GaussianBlur(out, (0, 0), 1.0)
        out = out + (out - soft) * float(rng.uniform(0.2, 1.5))  # in-camera sharpening
    if rng.random() < 0.5:
        out += rng.standard_normal(out.shape, np.float32) * np.float32(rng.uniform(1, 14))
    done = np.clip(out, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        ok, data = cv2.imencode(".jpg", done, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))])
        done = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8) if ok else done
    return done


def _glare(rng: Rng, image: npt.NDArray[np.float32]) -> None:
    h, w = image.shape[:2]
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    for _ in range(int(rng.integers(1, 3))):
        cx, cy, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(4, 40)
        image += (rng.uniform(80, 300) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * r * r)))[:, :, None]


def _motion(rng: Rng) -> npt.NDArray[np.float32]:
    length = int(rng.integers(2, 7))
    kernel = np.zeros((length * 2 + 1,) * 2, np.float32)
    angle = rng.uniform(0, np.pi)
    d = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    centre = np.array([length, length])
    cv2.line(
        kernel,
        tuple(np.round(centre - d).astype(int).tolist()),
        tuple(np.round(centre + d).astype(int).tolist()),
        1,
    )
    return np.asarray(kernel / kernel.sum(), np.float32)


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
