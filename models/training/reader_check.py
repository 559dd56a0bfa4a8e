"""How right a reader is on the validation pictures (names beginning 0-3), shrunk to several widths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import framing
import numpy as np
import numpy.typing as npt
import torch
from plate_art import PROVINCES, Glyphs, load_glyphs
from reader_config import ReaderConfig
from reader_data import LABELS, RealPlate, is_validation, load_real, real_sample, synthetic_sample
from reader_net import Reader
from real_glyphs import load_real_glyphs

Windows = npt.NDArray[np.uint8]
SHRUNK_PX: Final = (60, 48, 40)
TIMES_WORSE: Final = 20
PLATES_A_PROVINCE: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSet:
    """Windows (N x 32 x 128 x 3 RGB) of one validation set with their texts and kinds."""

    name: str
    windows: Windows
    texts: list[str]
    kinds: list[str]


def text_of(slots: npt.NDArray[np.integer]) -> str:
    """The text of eight label indices."""
    return "".join(LABELS[i] for i in slots)


@lru_cache(maxsize=4)
def check_sets(folder: Path) -> list[CheckSet]:
    """Validation sets of `folder`: cut-outs, the same shrunk, and plates of scenes in three framings."""
    plates = [plate for plate in load_real(folder) if is_validation(plate.path.name)]
    crops = [plate for plate in plates if plate.quad is None]
    scenes = [plate for plate in plates if plate.quad is not None]
    sets = [_made("crops", crops, _cutout)]
    for width_px in SHRUNK_PX:
        sets.append(_made(f"crops_{width_px}px", crops, lambda plate, w=width_px: _cutout(plate, w)))
    # The same plates framed as other people cut them: tight, wide, and small in a wide frame.
    for name, across, down in (
        ("tight", 0.0, 0.0),
        ("scenes", framing.MARGIN_X, framing.MARGIN_Y),
        ("wide", 0.06, 0.16),
    ):
        sets.append(_made(name, scenes, lambda plate, x=across, y=down: _from_scene(plate, x, y)))
    return sets + _sets_by_source(folder)


@lru_cache(maxsize=1)
def glyph_set(folder: Path) -> CheckSet:
    """Synthetic plates whose characters are all held-out real ones, as many of each province.

    Of most provinces there are no or few validation pictures; this is what is known of those.
    """
    glyphs = Glyphs(load_glyphs(folder / "glyphs").masks)
    glyphs.real = load_real_glyphs(folder / "glyphs" / "real", glyphs, held_out=True)
    glyphs.real_only = True
    rng = np.random.default_rng(31)
    samples = []
    for province in PROVINCES * PLATES_A_PROVINCE:
        kind = str(rng.choice(["small_car", "small_car", "large_car", "small_new_energy", "police"]))
        samples.append(synthetic_sample(glyphs, rng, kind=kind, mistaken_share=0.0, province=province))
    windows = np.stack([framing.levelled(sample.window)[:, :, ::-1] for sample in samples])
    texts, kinds = [sample.text for sample in samples], [str(sample.kind) for sample in samples]
    return CheckSet(name="held-out characters", windows=windows, texts=texts, kinds=kinds)


def _sets_by_source(folder: Path) -> list[CheckSet]:
    """The validation plates of `labels_more.csv`, a set for each folder; none without that file."""
    if not (folder / "labels_more.csv").exists():
        return []
    groups: dict[str, list[RealPlate]] = {}
    for plate in load_real(folder, ("labels_more.csv",)):
        if is_validation(plate.path.name):
            groups.setdefault(plate.path.parent.name, []).append(plate)
    return [
        _made(name, plates, _cutout)
        if plates[0].quad is None
        else _made(name, plates, lambda plate: _from_scene(plate, framing.MARGIN_X, framing.MARGIN_Y))
        for name, plates in sorted(groups.items())
    ]


def worse_set(folder: Path) -> CheckSet:
    """Every validation plate `TIMES_WORSE` times, each time ruined anew as training would ruin it."""
    rng = np.random.default_rng(77)
    plates = [plate for plate in load_real(folder) if is_validation(plate.path.name)]
    samples = [real_sample(p, _picture(p.path), rng) for p in plates for _ in range(TIMES_WORSE)]
    windows = np.stack([framing.levelled(sample.window)[:, :, ::-1] for sample in samples])
    texts, kinds = [sample.text for sample in samples], [str(sample.kind) for sample in samples]
    return CheckSet(name="filmed worse", windows=windows, texts=texts, kinds=kinds)


def _made(name: str, plates: list[RealPlate], cut: Callable[[RealPlate], framing.Picture]) -> CheckSet:
    windows = np.stack([framing.levelled(cut(plate))[:, :, ::-1] for plate in plates])
    texts, kinds = [plate.text for plate in plates], [plate.kind for plate in plates]
    return CheckSet(name=name, windows=windows, texts=texts, kinds=kinds)


def _picture(path: Path) -> framing.Picture:
    picture = cv2.imread(str(path))
    if picture is None:
        raise ValueError(f"{path}: not a picture")
    return np.asarray(picture, np.uint8)


def _cutout(plate: RealPlate, width_px: int | None = None) -> framing.Picture:
    picture = _picture(plate.path)
    if width_px is not None:
        size = (width_px, max(1, round(picture.shape[0] * width_px / picture.shape[1])))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return framing.windowed(picture)


def _from_scene(plate: RealPlate, margin_x: float, margin_y: float) -> framing.Picture:
    assert plate.quad is not None
    quad = framing.widened(plate.quad, margin_x, margin_y)
    return framing.rectified(_picture(plate.path), quad, plate.rows)


def predicted(reader: Reader, windows: Windows) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Slot logits (N x 8 x labels) and kind logits (N x kinds) of RGB windows."""
    reader.eval()
    slots, kinds = [], []
    with torch.no_grad():
        for i in range(0, len(windows), 256):
            x = torch.from_numpy(windows[i : i + 256]).permute(0, 3, 1, 2).float() / 255
            slot_logits, kind_logits = reader(x)
            slots.append(slot_logits.numpy())
            kinds.append(kind_logits.numpy())
    return np.concatenate(slots), np.concatenate(kinds)


def quick_scores(reader: Reader, config: ReaderConfig) -> dict[str, float]:
    """Share of whole plates right, per validation set; empty when the pictures are absent."""
    if not (config.plates / "labels.csv").exists():
        return {}
    scores = {}
    for check in [*check_sets(config.plates), glyph_set(config.plates)]:
        logits, _ = predicted(reader, check.windows)
        read = [text_of(slots) for slots in logits.argmax(axis=2)]
        scores[check.name] = round(
            float(np.mean([a == b for a, b in zip(read, check.texts, strict=True)])), 4
        )
    return scores
