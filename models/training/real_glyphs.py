"""Real characters cut from plates, as ink masks that stand beside the drawn ones in the generator.

A drawing knows one shape of each character. 38,908 real ones know worn paint, other presses, blur and noise,
of provinces that no labelled plate shows.
"""

from __future__ import annotations

import csv
import io
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from plate_art import Glyphs, Picture, Rng

Masks = npt.NDArray[np.uint8]
SIZE: Final = (24, 48)  # px; the largest that a character has in a window is 14 x 27
# A mask that looks less like its character than this is blurred beyond reading, or labelled wrongly.
LEAST_LIKENESS: Final = 0.25
# Labelled D or 0 a few of them are the other one: what looks more like the other is left out.
TWINS: Final = {"D": "0", "0": "D", "Q": "0", "8": "B", "B": "8"}
NARROW: Final = 0.4  # width / height; a 1 is not stretched to a cell's width


class RealGlyphs:
    """Ink masks (uint8, 255 = ink) by character."""

    def __init__(self, masks: dict[str, Masks]) -> None:
        self._masks = masks

    def __contains__(self, char: str) -> bool:
        return char in self._masks

    def mask(self, char: str, width_px: int, height_px: int, rng: Rng) -> Picture:
        """Return one of the character's masks at that size; KeyError when there is none."""
        masks = self._masks[char]
        chosen = masks[int(rng.integers(len(masks)))]
        method = cv2.INTER_AREA if width_px < SIZE[0] else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(chosen, (width_px, height_px), interpolation=method), np.uint8)


@lru_cache(maxsize=2)
def load_real_glyphs(folder: Path, drawn: Glyphs, held_out: bool = False) -> RealGlyphs:
    """Read the archives in `folder`: names beginning 4-f, or the `held_out` rest; empty without archives."""
    found: dict[str, list[Picture]] = {}
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            rows = csv.DictReader(io.StringIO(archive.read("labels.csv").decode("utf-8")))
            for row in rows:
                if (row["file"][0] in "0123") is not held_out:
                    continue
                data = np.frombuffer(archive.read(row["file"]), np.uint8)
                mask = ink_mask(np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8))
                mask = _upright(mask, row["character"], drawn)
                if mask is not None:
                    found.setdefault(row["character"], []).append(mask)
    return RealGlyphs({char: np.stack(masks) for char, masks in found.items()})


def ink_mask(grey: Picture) -> Picture:
    """A grey picture's bright parts as a mask of `SIZE`, its levels spread to 0..255."""
    dark, bright = np.percentile(grey, (8, 92))
    spread = np.clip((grey.astype(np.float32) - dark) * (255 / max(12.0, bright - dark)), 0, 255)
    if grey.shape[1] / grey.shape[0] < NARROW:
        side = round((grey.shape[0] * SIZE[0] / SIZE[1] - grey.shape[1]) / 2)
        spread = cv2.copyMakeBorder(spread, 0, 0, side, side, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(spread.astype(np.uint8), SIZE, interpolation=cv2.INTER_LINEAR), np.uint8)


def _upright(mask: Picture, char: str, drawn: Glyphs) -> Picture | None:
    """The mask with bright ink, None where it does not look like `char`."""
    likeness = _likeness(mask, drawn.mask("a", "single", char, *SIZE))
    if likeness < 0:  # dark ink on a yellow or white plate
        mask, likeness = np.asarray(255 - mask, np.uint8), -likeness
    other = TWINS.get(char)
    if other is not None and _likeness(mask, drawn.mask("a", "single", other, *SIZE)) > likeness + 0.02:
        return None
    return mask if likeness >= LEAST_LIKENESS else None


def _likeness(left: Picture, right: Picture) -> float:
    # Softly: a mask cut a pixel off still looks like its character.
    soft = [cv2.GaussianBlur(mask, (0, 0), 1.5).ravel() for mask in (left, right)]
    return float(np.corrcoef(*soft)[0, 1])
