"""Windows for the reader: synthetic plates, real plates and things that are none, pre-rendered to shards.

A shard is one .npz of windows (N x 32 x 128 x 3 RGB uint8), slots (N x 8 label indices), kinds (N, -1 = no
plate) and weights (N x 2: loss weight of the province and of the authority letter).
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import cv2
import degrade
import framing
import numpy as np
import numpy.typing as npt
from carriers import is_held_out
from hidden import covered, cut_short
from plate_art import ALPHABET, KINDS, TWO_ROWS, Glyphs, Picture, Rng, draw_plate, sample_plate

SLOTS: Final = 8
BLANK: Final = len(ALPHABET)
LABELS: Final = (*ALPHABET, "")
KIND_NAMES: Final = tuple(KINDS)
ALL_LABELS: Final = ("labels.csv", "labels_more.csv")
_INDEX: Final = {char: i for i, char in enumerate(ALPHABET)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One window and what stands on it; no kind and no text: not a plate."""

    window: Picture
    text: str
    kind: str | None
    real: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RealPlate:
    """A labelled plate in a picture file; `quad` is None when the picture is the cut-out plate itself."""

    path: Path
    text: str
    kind: str
    rows: int
    quad: npt.NDArray[np.float32] | None


def slots_of(text: str) -> list[int]:
    """Label indices of a text, filled up with blanks; KeyError for a character outside the alphabet.

    A space is a character that the window does not show.
    """
    return [BLANK if char == " " else _INDEX[char] for char in text] + [BLANK] * (SLOTS - len(text))


def is_validation(name: str) -> bool:
    """Pictures whose names begin with 0-3 are never trained on."""
    return name[0] in "0123"


# ---- real plates


def load_real(folder: Path, labels: tuple[str, ...] = ("labels.csv",)) -> list[RealPlate]:
    """Every labelled plate that the files `labels` of `folder` list (crops and scenes)."""
    plates = []
    for name in labels:
        with (folder / name).open(encoding="utf-8", newline="") as lines:
            rows_of_file = list(csv.DictReader(lines))
        for row in rows_of_file:
            quad = _quad_of(row["corners_or_box_px"]) if row["kind"] == "scene" else None
            kind, rows = _kind_of(row["plate_text"], row["colour"]), 1
            if quad is not None:
                wide, high = np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[3] - quad[0])
                rows = 2 if kind == "large_car" and wide < 2.4 * high else 1
            path = folder / row["file"]
            plates.append(RealPlate(path=path, text=row["plate_text"], kind=kind, rows=rows, quad=quad))
    return plates


def training_plates(folder: Path) -> list[RealPlate]:
    """The labelled plates to train on: none that a validation picture shows, in whatever picture."""
    plates = load_real(folder, ALL_LABELS)
    held_out = {plate.text for plate in plates if is_validation(plate.path.name)}
    return [plate for plate in plates if plate.text not in held_out]


def drawing_weights(plates: list[RealPlate]) -> npt.NDArray[np.float64]:
    """How often each plate is drawn (adding up to 1): rare provinces and kinds often, none beyond reason.

    Of a province with n plates each weighs n ** -0.7: 皖 with half of all counts ten times one of 甘. Scenes
    count twice: their corners are known, so they are framed and filmed in more ways.
    """
    provinces = Counter(plate.text[0] for plate in plates)
    kinds = Counter(plate.kind for plate in plates)
    weights = np.asarray(
        [
            provinces[plate.text[0]] ** -0.7 * kinds[plate.kind] ** -0.2 * (1 if plate.quad is None else 2)
            for plate in plates
        ]
    )
    # A picture shown more often than that is learnt by heart.
    weights = np.minimum(weights, 4 * np.median(weights))
    return np.asarray(weights / weights.sum(), np.float64)


def _quad_of(text: str) -> npt.NDArray[np.float32]:
    shape, _, numbers = text.partition(":")
    values = [float(number) for number in numbers.split(",")]
    if shape == "box":
        left, top, right, bottom = values
        values = [left, top, right, top, right, bottom, left, bottom]
    return np.asarray(values, np.float32).reshape(4, 2)


def _kind_of(text: str, colour: str) -> str:
    # The colour column tells what the eye sees: by sodium light blue plates look yellow or white.
    if text.endswith("学"):
        return "coach"
    if text.endswith("警"):
        return "police"
    if len(text) == 8:
        return "small_new_energy" if text[2].isalpha() else "large_new_energy"
    return "large_car" if colour == "yellow" else "small_car"


def real_sample(plate: RealPlate, picture: Picture, rng: Rng, hidden_share: float = 0.0) -> Sample:
    """A real plate filmed worse: framed anew, recoloured, blurred, shrunk, compressed.

    On `hidden_share` of those with known corners a character is not to be seen, and their text lacks it.
    """
    text = plate.text
    if plate.quad is None:
        window = _reframed_cutout(picture, rng)
    else:
        quad = plate.quad
        low = np.floor(quad.min(axis=0) - 0.3 * np.ptp(quad[:, 0]) - 4).clip(0).astype(int)
        high = np.ceil(quad.max(axis=0) + 0.3 * np.ptp(quad[:, 0]) + 4).astype(int)
        near = np.ascontiguousarray(picture[low[1] : high[1], low[0] : high[0]])
        shot = degrade.Shot(picture=near, quad=quad - low.astype(np.float32))
        layout = "double" if plate.rows == 2 else "long" if len(plate.text) == 8 else "single"
        filmed = partial(_real_filmed, rng=rng)
        window, text = _seen(shot, text, layout, filmed, rng, hidden_share=hidden_share)
    return Sample(window=window, text=text, kind=plate.kind, real=True)


def _real_filmed(shot: degrade.Shot, rng: Rng) -> degrade.Shot:
    """The shot shrunk to a drawn plate width and degraded mildly: it has been through one camera already."""
    picture, quad = shot.picture, shot.quad
    plate_px = float(np.linalg.norm(quad[1] - quad[0]))
    wanted = plate_width_px(rng)
    if wanted < plate_px:
        smaller = degrade.shrunk(picture, picture.shape[1] * wanted / plate_px, rng)
        quad = quad * np.asarray(
            [smaller.shape[1] / picture.shape[1], smaller.shape[0] / picture.shape[0]], np.float32
        )
        picture = smaller
    if rng.random() < 0.6:
        picture = degrade.exposed(picture, rng)
    quad = quad.astype(np.float32)
    return degrade.Shot(picture=degrade.filmed(picture, rng, 0.6 * _film_strength(quad)), quad=quad)


def _reframed_cutout(picture: Picture, rng: Rng) -> Picture:
    height, width = picture.shape[:2]
    if rng.random() < 0.5:
        picture = degrade.shrunk(picture, float(rng.uniform(32, width)), rng)
        height, width = picture.shape[:2]
    if rng.random() < 0.6:
        picture = degrade.exposed(picture, rng)
    picture = degrade.filmed(picture, rng, strength=0.4 * min(1.0, width / 94))
    whole = np.asarray([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = whole + (rng.normal(0, 1, (4, 2)) * (0.008 * width, 0.03 * height)).astype(np.float32)
    return framing.rectified(picture, _each_side_moved(moved, rng))


def _each_side_moved(quad: npt.NDArray[np.float32], rng: Rng) -> npt.NDArray[np.float32]:
    """The quad with every side moved by itself: other people cut plates at their edge, or a fifth wider."""
    sides = [rng.uniform(-0.035, 0.07, 2), rng.uniform(-0.08, 0.2, 2)]
    (left, right), (top, bottom) = sides if rng.random() < 0.5 else [s * 0.5 for s in sides]
    return _onto_quad(quad, float(-left), float(-top), float(1 + right), float(1 + bottom))


def _onto_quad(
    quad: npt.NDArray[np.float32], left: float, top: float, right: float, bottom: float
) -> npt.NDArray[np.float32]:
    """The corners of a part of the quad, in parts of its width and height."""
    top_left, top_right, bottom_right, bottom_left = quad

    def at(x: float, y: float) -> npt.NDArray[np.float32]:
        upper, lower = top_left + (top_right - top_left) * x, bottom_left + (bottom_right - bottom_left) * x
        return np.asarray(upper + (lower - upper) * y, np.float32)

    return np.stack([at(left, top), at(right, top), at(right, bottom), at(left, bottom)])


# ---- synthetic plates


def plate_width_px(rng: Rng) -> float:
    """How wide a plate is in its camera's picture: 30-160 px, most of them between 50 and 120."""
    return float(np.clip(np.exp(rng.normal(np.log(80), 0.42)), 30, 160))


def synthetic_sample(
    glyphs: Glyphs,
    rng: Rng,
    kind: str | None = None,
    mistaken_share: float = 0.02,
    hidden_share: float = 0.0,
    province: str | None = None,
) -> Sample:
    """A plate (of `kind`, of `province`, else of any), weathered, filmed and cut as on the pole or in a file.

    `mistaken_share` of them are read with their rows mistaken: nothing legible may come out of those.
    On `hidden_share` of them a character is not to be seen, and their text lacks it.
    """
    plate = sample_plate(rng, kind, province)
    flat = degrade.weathered(draw_plate(plate, rng, glyphs, px_per_mm=0.5), rng)
    # A two-row plate shows its characters about as large at two thirds of the width.
    shot = degrade.placed(flat, plate_width_px(rng) * (0.8 if plate.rows == 2 else 1.0), rng)
    if rng.random() < mistaken_share:
        window = _framed_window(_filmed(shot, rng), 3 - plate.rows, rng)
        return Sample(window=window, text="", kind=None)
    filmed = partial(_filmed, rng=rng)
    window, text = _seen(shot, plate.text, plate.layout, filmed, rng, hidden_share=hidden_share)
    return Sample(window=window, text=text, kind=plate.kind)


def _filmed(shot: degrade.Shot, rng: Rng) -> degrade.Shot:
    picture = degrade.filmed(degrade.exposed(shot.picture, rng), rng, _film_strength(shot.quad))
    return degrade.Shot(picture=picture, quad=shot.quad)


def _seen(
    shot: degrade.Shot,
    text: str,
    layout: str,
    filmed: Callable[[degrade.Shot], degrade.Shot],
    rng: Rng,
    *,
    hidden_share: float,
) -> tuple[Picture, str]:
    """The filmed plate's window and what can be seen of its text: `hidden_share` lack a character."""
    rows = 2 if layout in TWO_ROWS else 1
    hidden = rng.random() < hidden_share
    if hidden and rng.random() < 0.5:
        shot, text = covered(shot, text, layout, rng)
        return _framed_window(filmed(shot), rows, rng), text
    shot = filmed(shot)
    if hidden:
        return cut_short(shot, text, layout, rng)
    return _framed_window(shot, rows, rng), text


def _film_strength(quad: npt.NDArray[np.float32]) -> float:
    """Blur and noise that a plate of this size survives: a narrow one loses its strokes to half a pixel."""
    return float(np.clip(np.linalg.norm(quad[1] - quad[0]) / 110, 0.3, 1.2))


def _framed_window(shot: degrade.Shot, rows: int, rng: Rng) -> Picture:
    """Cut by jittered corners as the detector does, or by an upright box as loose cut-outs are."""
    quad, picture = shot.quad, shot.picture
    plate_px = float(np.linalg.norm(quad[1] - quad[0]))
    as_box = rng.random() < 0.4 and rows == 1
    if as_box:
        low, high = quad.min(axis=0), quad.max(axis=0)
        quad = np.asarray([low, [high[0], low[1]], high, [low[0], high[1]]], np.float32)
        quad = _each_side_moved(quad, rng)
        wide, high_margin = 0.0, 0.0
    else:
        # Found corners are off by a fraction of a pixel to a good part of a character.
        off_px = float(rng.choice((0.006, 0.012, 0.022))) * plate_px + 0.3
        quad = quad + rng.normal(0, off_px, (4, 2)).astype(np.float32)
        wide, high_margin = float(rng.uniform(-0.02, 0.07)), float(rng.uniform(-0.05, 0.18))
    quad = framing.widened(quad, wide, high_margin)
    if as_box and rng.random() < 0.6:
        # A cut-out file: cropped to whole pixels, scaled to somebody's size, stored as JPEG.
        left, top = np.floor(quad[0]).clip(0).astype(int)
        right, bottom = np.ceil(quad[2]).astype(int)
        picture = picture[top:bottom, left:right]
        size = (int(rng.integers(80, 150)), int(rng.integers(22, 50)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        if rng.random() < 0.4:
            picture = degrade.shrunk(picture, float(rng.uniform(36, size[0])), rng)
        return framing.windowed(degrade.compressed(picture, int(rng.integers(50, 97))), rows)
    return framing.rectified(picture, quad, rows)


# ---- no plates


def load_street(folder: Path, limit: int) -> list[Picture]:
    """Street pictures of other countries in training's part, evenly chosen, at most 960 px wide."""
    paths = [path for path in sorted(folder.glob("*/*.jpg")) if not is_held_out(path.name)]
    pictures = []
    for path in paths[:: max(1, len(paths) // limit)]:
        picture = cv2.imread(str(path))
        if picture is not None:
            shrink = min(1.0, 960 / picture.shape[1])
            pictures.append(np.asarray(cv2.resize(picture, None, fx=shrink, fy=shrink), np.uint8))
    return pictures


@lru_cache(maxsize=1)
def load_no_plates(folder: Path) -> list[Picture]:
    """Training's part of the cut-outs that look like plates and are none; empty without the archive."""
    path = folder / "no_plate_cutouts.zip"
    if not path.exists():
        return []
    with zipfile.ZipFile(path) as archive:
        rows = csv.DictReader(io.StringIO(archive.read("labels.csv").decode("utf-8")))
        names = [row["file"] for row in rows if not is_validation(row["file"])]
        data = [np.frombuffer(archive.read(name), np.uint8) for name in names]
    return [np.asarray(cv2.imdecode(each, cv2.IMREAD_COLOR), np.uint8) for each in data]


def no_plate_cutout(cutouts: list[Picture], rng: Rng) -> Sample:
    """A cut-out that a plate finder took for a plate, filmed worse."""
    picture = _reframed_cutout(cutouts[int(rng.integers(len(cutouts)))], rng)
    return Sample(window=picture, text="", kind=None)


def no_plate_sample(street: list[Picture], rng: Rng) -> Sample:
    """A piece of street, or lettering that is no plate: a phone number, a shop sign, a badge."""
    picture = street[int(rng.integers(len(street)))]
    height, width = picture.shape[:2]
    wide = int(rng.uniform(40, min(300, width - 2)))
    high = max(10, min(height - 2, int(wide / rng.uniform(1.5, 4.5))))
    left, top = int(rng.integers(0, width - wide)), int(rng.integers(0, height - high))
    part = picture[top : top + high, left : left + wide].copy()
    if rng.random() < 0.3:
        ground, ink = rng.integers(0, 256, (2, 3)).tolist()
        part[:] = ground
        words = (
            "".join(rng.choice(list("0123456789"), int(rng.integers(8, 12)))),
            "SALE 50",
            "TAXI",
            "BUS STOP",
            "VOLVO",
        )
        word = words[int(rng.integers(len(words)))]
        font = int(rng.integers(0, 8))
        cv2.putText(
            part, word, (2, int(high * 0.7)), font, wide / (len(word) * 21), ink, int(rng.integers(1, 4))
        )
    part = degrade.filmed(part, rng)
    return Sample(window=framing.windowed(part, 2 if rng.random() < 0.3 else 1), text="", kind=None)


# ---- shards


def save_shard(path: Path, samples: list[Sample]) -> None:
    """Write a shard; windows turn from BGR to the RGB that the reader takes."""
    windows = np.stack([framing.levelled(sample.window)[:, :, ::-1] for sample in samples])
    slots = np.asarray([slots_of(sample.text) for sample in samples], np.uint8)
    kinds = np.asarray([KIND_NAMES.index(sample.kind) if sample.kind else -1 for sample in samples], np.int8)
    # Real cut-outs are nearly all from one city: they teach strokes, hardly its province and letter.
    hefei = [0.4 if sample.real and sample.text.startswith("皖") else 1.0 for sample in samples]
    letters = [0.5 if sample.real and sample.text.startswith("皖A") else 1.0 for sample in samples]
    weights = np.asarray([hefei, letters], np.float32).T
    part = path.with_suffix(".part.npz")
    np.savez(part, windows=windows, slots=slots, kinds=kinds, weights=weights)
    part.rename(path)
