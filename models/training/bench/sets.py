"""The validation pictures, what is read on them, and the tables that the figures are printed in."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edged.domain.reading import PlateRead
from edged.picture import decode_picture
from edged.vision.pipeline import PlateVision

Image = npt.NDArray[np.uint8]

Z_95: Final = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """One plate in a file; `quad` is None when the file is the cut-out plate."""

    file: str
    text: str
    colour: str
    quad: npt.NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was read for one labelled plate; None: nothing was found there."""

    truth: Labelled
    read: PlateRead | None

    @property
    def right(self) -> bool:
        return self.read is not None and self.read.reading.text == self.truth.text


def labelled(folder: Path, labels: str = "labels.csv") -> list[Labelled]:
    """The validation plates that the file `labels` lists; none where there is no such file."""
    if not (folder / labels).exists():
        return []
    plates = []
    with (folder / labels).open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if Path(row["file"]).name[0] not in "0123":
                continue
            quad = _quad(row["corners_or_box_px"]) if row["kind"] == "scene" else None
            plates.append(Labelled(file=row["file"], text=row["plate_text"], colour=row["colour"], quad=quad))
    return plates


def _quad(text: str) -> npt.NDArray[np.float32]:
    shape, _, numbers = text.partition(":")
    values = [float(number) for number in numbers.split(",")]
    if shape == "box":
        left, top, right, bottom = values
        values = [left, top, right, top, right, bottom, left, bottom]
    return np.asarray(values, np.float32).reshape(4, 2)


def picture(path: Path) -> Image:
    return decode_picture(path.read_bytes())


def interval(right: int, count: int) -> str:
    """Share with Wilson's 95% interval."""
    if not count:
        return "-"
    share, z2 = right / count, Z_95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    reach = Z_95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return f"{share:.1%} ({max(0, middle - reach):.1%}-{min(1, middle + reach):.1%})"


def heading(title: str, *columns: str) -> None:
    print(f"\n### {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")


def line(*cells: object) -> None:
    print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)


# ---- reading the sets


def read_crops(
    vision: PlateVision, folder: Path, plates: list[Labelled], width_px: int | None = None
) -> list[Outcome]:
    outcomes = []
    for plate in plates:
        image = picture(folder / plate.file)
        if width_px is not None:
            image = shrunk_to(image, width_px)
        outcomes.append(Outcome(truth=plate, read=vision.read_crop(image)))
    return outcomes


def shrunk_to(image: Image, width_px: int) -> Image:
    size = (width_px, max(1, round(image.shape[0] * width_px / image.shape[1])))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def read_scenes(
    vision: PlateVision, folder: Path, plates: list[Labelled]
) -> tuple[list[Outcome], list[PlateRead]]:
    """Outcomes of the labelled plates, and the accepted reads where no label is."""
    outcomes, strangers = [], []
    for file in dict.fromkeys(plate.file for plate in plates):
        reads = vision.read_picture(picture(folder / file), closely=True)
        free = list(reads)
        for plate in (plate for plate in plates if plate.file == file):
            read = nearest(free, plate)
            if read is not None:
                free.remove(read)
            outcomes.append(Outcome(truth=plate, read=read))
        strangers += [read for read in free if read.reading.accepted]
    return outcomes, strangers


def nearest(reads: list[PlateRead], plate: Labelled) -> PlateRead | None:
    assert plate.quad is not None
    centre, width = plate.quad.mean(axis=0), float(np.ptp(plate.quad[:, 0]))
    near = [read for read in reads if np.linalg.norm(np.mean(read.corners, axis=0) - centre) < 0.4 * width]
    return min(
        near, key=lambda read: float(np.linalg.norm(np.mean(read.corners, axis=0) - centre)), default=None
    )
