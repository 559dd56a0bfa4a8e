"""How well and how fast the pole reads plates: python models/training/bench_plates.py

Accuracy on real pictures never trained on (names beginning 0-3 under EDGED_TEST_DATA/plates), through the
same code as the daemon's. Prints markdown, and no plate numbers.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import degrade
import numpy as np
from plate_art import Picture
from reader_data import RealPlate, is_validation, load_real

from edged.domain.reading import PlateRead, decide, fuse
from edged.vision.pipeline import PlateVision
from edged.vision.runtime import Runtime

WIDTHS_PX: Final = (94, 72, 60, 48, 40, 32)
BINS: Final = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0001)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One labelled plate: what stood there and what was read; None when no plate was found there."""

    plate: RealPlate
    read: PlateRead | None

    @property
    def right(self) -> bool:
        return self.read is not None and self.read.reading.text == self.plate.text


def wilson(right: int, count: int) -> str:
    """A share with its 95% interval, as text."""
    if not count:
        return "-"
    share, z2 = right / count, 1.96**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    reach = 1.96 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return f"{share:.1%} ({max(0.0, middle - reach):.1%}-{min(1.0, middle + reach):.1%})"


def picture_of(path: Path) -> Picture:
    """The picture as the pole decodes it."""
    picture = cv2.imread(str(path))
    if picture is None:
        raise ValueError(f"{path}: not a picture")
    return np.asarray(picture, np.uint8)


def cutouts(vision: PlateVision, plates: Sequence[RealPlate], width_px: int | None = None) -> list[Outcome]:
    """Read cut-out plates, shrunk by area to `width_px` when given."""
    outcomes = []
    for plate in plates:
        picture = picture_of(plate.path)
        if width_px is not None:
            size = (width_px, max(8, round(picture.shape[0] * width_px / picture.shape[1])))
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        outcomes.append(Outcome(plate=plate, read=vision.read_crop(picture)))
    return outcomes


def scenes(vision: PlateVision, plates: Sequence[RealPlate]) -> list[Outcome]:
    """Read whole scenes; a labelled plate is found when a reading's centre lies in it."""
    outcomes = []
    for path in dict.fromkeys(plate.path for plate in plates):
        reads = vision.read_picture(picture_of(path))
        for plate in (plate for plate in plates if plate.path == path):
            quad = np.asarray(plate.quad, np.float32)
            near = [r for r in reads if cv2.pointPolygonTest(quad, _centre(r), False) >= 0]
            outcomes.append(Outcome(plate=plate, read=near[0] if near else None))
    return outcomes


def _centre(read: PlateRead) -> tuple[float, float]:
    x, y = np.mean(read.corners, axis=0)
    return float(x), float(y)


def accuracy_row(name: str, outcomes: Sequence[Outcome]) -> str:
    """One line of the accuracy table."""
    count = len(outcomes)
    found = [outcome for outcome in outcomes if outcome.read is not None]
    accepted = [o for o in found if o.read is not None and o.read.reading.accepted]
    kinds = sum(o.read is not None and str(o.read.reading.kind) == o.plate.kind for o in outcomes)
    return (
        f"| {name} | {count} | {wilson(len(found), count)} | {wilson(sum(o.right for o in outcomes), count)} |"
        f" {kinds / count:.1%} | {len(accepted) / count:.1%} |"
        f" {wilson(sum(o.right for o in accepted), len(accepted))} |"
    )


def confusions(outcomes: Sequence[Outcome]) -> str:
    """The commonest mistaken characters of plates read with the right length."""
    pairs: Counter[str] = Counter()
    for outcome in outcomes:
        said = outcome.read.reading.text if outcome.read else ""
        if len(said) == len(outcome.plate.text):
            pairs.update(f"{a}>{b}" for a, b in zip(outcome.plate.text, said, strict=True) if a != b)
    return ", ".join(f"{pair} {count}" for pair, count in pairs.most_common(10)) or "none"


def calibration(outcomes: Sequence[Outcome]) -> str:
    """Confidence of characters against how many of them are right, and the expected calibration error."""
    sure, right = [], []
    for outcome in outcomes:
        if outcome.read is None or len(outcome.read.reading.text) != len(outcome.plate.text):
            continue
        reading = outcome.read.reading
        sure += reading.characters
        right += [a == b for a, b in zip(reading.text, outcome.plate.text, strict=True)]
    values, hits = np.asarray(sure), np.asarray(right)
    lines, error = ["| confidence | characters | mean confidence | right |", "|---|---|---|---|"], 0.0
    for low, high in pairwise(BINS):
        inside = (values >= low) & (values < high)
        if inside.any():
            said, true = values[inside].mean(), hits[inside].mean()
            error += abs(said - true) * inside.mean()
            lines.append(f"| {low:.3f}-{min(high, 1):.3f} | {inside.sum()} | {said:.4f} | {true:.4f} |")
    return "\n".join([*lines, "", f"expected calibration error {error:.4f}"])


def coverage(outcomes: Sequence[Outcome]) -> str:
    """How right the surest part of the readings is, by the weakest character's confidence."""
    read = [(o.read.reading.confidence, o.right) for o in outcomes if o.read is not None]
    ranked = np.asarray([right for _, right in sorted(read, key=lambda pair: -pair[0])])
    lines = ["| coverage | right |", "|---|---|"]
    for share in (0.8, 0.9, 0.92, 0.95, 0.98, 1.0):
        count = max(1, round(share * len(outcomes)))
        lines.append(f"| {share:.0%} | {wilson(int(ranked[:count].sum()), len(ranked[:count]))} |")
    return "\n".join(lines)


def burst(vision: PlateVision, plates: Sequence[RealPlate], frames: int = 5) -> str:
    """Errors of single frames and of fused bursts: independent blur, noise and shift of each cut-out."""
    rng = np.random.default_rng(5)
    spec = vision.manifest.reader
    single, fused = 0, 0
    for plate in plates:
        picture = degrade.shrunk(picture_of(plate.path), 44, rng)
        reads = [vision.read_crop(_shaken(picture, rng)) for _ in range(frames)]
        single += sum(read.reading.text != plate.text for read in reads)
        together = fuse([read.evidence for read in reads], [read.sharpness for read in reads])
        said = decide(together, labels=spec.labels, accept_from=spec.accept_from)
        fused += said.text != plate.text
    count = len(plates)
    alone = f"single frames wrong {wilson(single, count * frames)}"
    return f"{alone}, bursts of {frames} wrong {wilson(fused, count)}"


def _shaken(picture: Picture, rng: np.random.Generator) -> Picture:
    shift = np.asarray([[1, 0, rng.normal(0, 0.7)], [0, 1, rng.normal(0, 0.5)]], np.float32)
    size = (picture.shape[1], picture.shape[0])
    moved = cv2.warpAffine(picture, shift, size, borderMode=cv2.BORDER_REPLICATE)
    blurred = cv2.GaussianBlur(moved, (0, 0), float(rng.uniform(0.3, 0.9)))
    return np.asarray(np.clip(blurred + rng.normal(0, 8, blurred.shape), 0, 255), np.uint8)


def timed(work: Callable[[], object], repeats: int) -> str:
    """Median and 90th percentile of a call, in ms."""
    work()
    spent = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        spent.append((time.perf_counter() - began) * 1000)
    return f"{statistics.median(spent):.2f} | {statistics.quantiles(spent, n=10)[-1]:.2f}"


def latency() -> str:
    """One thread, decoded picture to text, on each runtime that is installed."""
    frame = np.random.default_rng(3).integers(0, 256, (1080, 1920, 3)).astype(np.uint8)
    cutout = np.ascontiguousarray(frame[:48, :160])
    lines = ["| step | runtime | median ms | p90 ms |", "|---|---|---|---|"]
    for runtime in Runtime:
        try:
            vision = PlateVision.load(threads=1, runtime=runtime)
        except Exception as exc:  # noqa: BLE001 - a runtime that is not installed is a line of the report
            lines.append(f"| - | {runtime} | {exc} | |")
            continue
        lines.append(f"| cut-out to text | {runtime} | {timed(lambda v=vision: v.read_crop(cutout), 200)} |")
        lines.append(f"| 1920x1080 to text | {runtime} | {timed(lambda v=vision: v.read_frame(frame), 20)} |")
    return "\n".join(lines)


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(os.environ.get("EDGED_TEST_DATA", "../shared"))
    parser.add_argument("--plates", type=Path, default=shared / "plates")
    arguments = parser.parse_args()
    vision = PlateVision.load(threads=1)
    if (arguments.plates / "labels.csv").exists():
        plates = [p for p in load_real(arguments.plates) if is_validation(p.path.name)]
        crops = [plate for plate in plates if plate.quad is None]
        print("| set | n | found (95%) | right (95%) | kind right | accepted | accepted right (95%) |")
        print("|---|---|---|---|---|---|---|")
        sets = {f"cut-outs, {width} px": cutouts(vision, crops, width) for width in WIDTHS_PX}
        sets["scenes"] = scenes(vision, [plate for plate in plates if plate.quad is not None])
        for name, outcomes in sets.items():
            print(accuracy_row(name, outcomes), flush=True)
        everything = [outcome for outcomes in sets.values() for outcome in outcomes]
        print(f"\nconfusions (true>said): {confusions(everything)}\n\n{calibration(everything)}")
        print(f"\n{coverage(everything)}\n\n{burst(vision, crops)}\n")
    else:
        print(f"no labels.csv in {arguments.plates}: accuracy left out (set EDGED_TEST_DATA)\n")
    print(latency())
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
