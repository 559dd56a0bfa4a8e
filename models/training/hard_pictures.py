"""Pictures that acceptance is fitted and measured on: held-out plates filmed worse, and held-out characters.

Clear pictures say nothing about what is sure enough: nearly all of them are read rightly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import degrade
import numpy as np
from plate_art import PROVINCES, Glyphs, Picture, Rng, draw_plate, load_glyphs, sample_plate
from reader_data import ALL_LABELS, RealPlate, is_validation, load_real, plate_width_px
from real_glyphs import load_real_glyphs

KINDS_DRAWN: Final = ("small_car", "small_car", "large_car", "small_new_energy", "police")


@dataclass(frozen=True, slots=True, kw_only=True)
class HardPicture:
    """A cut-out (`whole`) or a piece of a scene around one plate, and where it comes from."""

    picture: Picture
    text: str
    kind: str
    source: str
    whole: bool


def real_pictures(folder: Path, times: int, seed: int = 5) -> Iterator[HardPicture]:
    """Every validation plate `times` times, as it is the first time, then filmed worse."""
    rng = np.random.default_rng(seed)
    for plate in load_real(folder, ALL_LABELS):
        if not is_validation(plate.path.name):
            continue
        picture = np.asarray(cv2.imread(str(plate.path)), np.uint8)
        if plate.quad is not None:
            picture = _around(picture, plate)
        for i in range(times):
            yield HardPicture(
                picture=_worse(picture, plate, rng) if i else picture,
                text=plate.text,
                kind=plate.kind,
                source=plate.path.parent.name,
                whole=plate.quad is None,
            )


def glyph_pictures(folder: Path, a_province: int, seed: int = 6) -> Iterator[HardPicture]:
    """Plates of held-out real characters on a piece of bodywork, as many of each province."""
    rng = np.random.default_rng(seed)
    glyphs = Glyphs(load_glyphs(folder / "glyphs").masks)
    glyphs.real = load_real_glyphs(folder / "glyphs" / "real", glyphs, held_out=True)
    glyphs.real_only = True
    for province in PROVINCES * a_province:
        plate = sample_plate(rng, str(rng.choice(KINDS_DRAWN)), province)
        flat = degrade.weathered(draw_plate(plate, rng, glyphs, px_per_mm=0.5), rng)
        shot = degrade.placed(flat, plate_width_px(rng) * (0.8 if plate.rows == 2 else 1.0), rng)
        strength = float(np.clip(np.linalg.norm(shot.quad[1] - shot.quad[0]) / 110, 0.3, 1.2))
        picture = degrade.filmed(degrade.exposed(shot.picture, rng), rng, strength)
        low, high = shot.quad.min(axis=0), shot.quad.max(axis=0)
        room = rng.uniform(0.0, 0.04, 2) * (high - low)
        left, top = np.floor(low - room).clip(0).astype(int)
        right, bottom = np.ceil(high + room).astype(int)
        yield HardPicture(
            picture=np.ascontiguousarray(picture[top:bottom, left:right]),
            text=plate.text,
            kind=plate.kind,
            source="characters",
            whole=True,
        )


def _around(picture: Picture, plate: RealPlate) -> Picture:
    """The piece of the scene that is three plates wide and high."""
    assert plate.quad is not None
    centre, reach = plate.quad.mean(axis=0), 1.5 * float(np.ptp(plate.quad[:, 0]))
    left, top = np.floor(centre - reach).clip(0).astype(int)
    right, bottom = np.ceil(centre + reach).astype(int)
    return np.ascontiguousarray(picture[top:bottom, left:right])


def _worse(picture: Picture, plate: RealPlate, rng: Rng) -> Picture:
    """The picture shrunk to a drawn plate width, in other light, blurred, noisy and compressed."""
    share = 1.0 if plate.quad is None else 1 / 3
    plate_px = picture.shape[1] * share
    wanted = max(36.0, plate_width_px(rng))
    if wanted < plate_px:
        picture = degrade.shrunk(picture, wanted / share, rng)
    if rng.random() < 0.6:
        picture = degrade.exposed(picture, rng)
    strength = 0.6 * float(np.clip(min(wanted, plate_px) / 110, 0.3, 1.2))
    return degrade.filmed(picture, rng, strength)
