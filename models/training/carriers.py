"""Real pictures that carry drawn plates, with the corners of the plates already on them.

Scenes whose names begin with 0-3 are the validation set and are never loaded for training.
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

Picture = npt.NDArray[np.uint8]
Quads = npt.NDArray[np.float32]  # n x 4 x 2, px, clockwise from top left

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
                tall = height_over_width(quad) > 0.42
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


def height_over_width(quad: list[float]) -> float:
    p = np.asarray(quad).reshape(4, 2)
    return float(np.linalg.norm(p[3] - p[0]) / max(1e-6, np.linalg.norm(p[1] - p[0])))
