"""How often a burst's reading fails and how, counted for `bench trust --reader models/reader_rates.json`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
from conditions import Rng, filmed, frames_of
from sets import Labelled, heading, labelled, line, nearest, picture

from cloud_endpoint.base.check_rules import Rules
from edged.domain.reading import PlateRead, fuse_burst
from edged.vision.pipeline import PlateVision

RATES: Final = Path(__file__).resolve().parents[2] / "reader_rates.json"
FIRST_LOOKS: Final = 4
SECOND_LOOKS: Final = 4


def rates(vision: PlateVision, folder: Path) -> None:
    """Bursts of every validation plate, further ones where one failed; the counts go to `RATES`."""
    rng = np.random.default_rng(12)
    counts: Counter[str] = Counter()
    pairs: Counter[str] = Counter()
    for plate in labelled(folder) * FIRST_LOOKS:
        first = read_burst(vision, folder, plate, rng)
        counts["readings"] += 1
        counts["rejected"] += first is None or not first.reading.accepted
        counts["wrong_when_accepted"] += first is not None and first.reading.accepted and wrong(first, plate)
        for true, said, sure in misread(first, plate):
            counts["wrong_characters"] += 1
            counts["doubted"] += sure < Rules().doubt_below
            pairs[true + said] += 1
        if first is not None and first.reading.accepted and not wrong(first, plate):
            continue
        for _ in range(SECOND_LOOKS):
            again = read_burst(vision, folder, plate, rng)
            counts["second_looks"] += 1
            counts["failed_again"] += again is None or not again.reading.accepted or wrong(again, plate)
    measured = {
        "of": "held-out plates, bursts of five with blur, noise and shift added",
        **{name: counts[name] for name in _COUNTS},
        "confusions": dict(pairs.most_common()),
    }
    RATES.write_text(
        json.dumps({"measured": measured}, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )
    heading("A burst's reading", "what", "count")
    for name in _COUNTS:
        line(name.replace("_", " "), counts[name])


_COUNTS: Final = (
    "readings",
    "rejected",
    "wrong_when_accepted",
    "second_looks",
    "failed_again",
    "wrong_characters",
    "doubted",
)


def read_burst(vision: PlateVision, folder: Path, plate: Labelled, rng: Rng) -> PlateRead | None:
    """What five frames say together of one plate; None when it was not found."""
    spec = vision.manifest.reader
    if plate.quad is None:
        image = picture(folder / plate.file)
        # A cut-out leaves no room to move in.
        frames = [[vision.read_crop(filmed(image, rng, shift_px=0.0))] for _ in range(5)]
        (fused,) = fuse_burst(frames, labels=spec.labels, accept_from=spec.accept_from)
        return fused
    at, frames = frames_of(vision, folder, plate, rng)
    return nearest(fuse_burst(frames, labels=spec.labels, accept_from=spec.accept_from), at)


def wrong(read: PlateRead, plate: Labelled) -> bool:
    return read.reading.text != plate.text


def misread(read: PlateRead | None, plate: Labelled) -> list[tuple[str, str, float]]:
    """True character, character read and its confidence, where they differ in texts of one length."""
    if read is None or len(read.reading.text) != len(plate.text):
        return []
    triples = zip(plate.text, read.reading.text, read.reading.characters, strict=True)
    return [(true, said, sure) for true, said, sure in triples if true != said]
