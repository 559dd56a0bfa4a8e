"""Measure the committed models on real pictures that no training saw; prints tables for docs/benchmarks.md.

    python models/training/bench_plates.py [--only accuracy latency ...]

Pictures come from EDGED_TEST_DATA (default ../shared): those whose names begin with 0-3, and the street
pictures held back from training as pictures without plates.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import resource
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edged.domain.plate import kinds_of
from edged.domain.reading import PlateRead, fuse_burst
from edged.picture import decode_picture
from edged.vision import rectifier
from edged.vision.detector import Candidate
from edged.vision.errors import RuntimeMissing
from edged.vision.pipeline import PlateVision
from edged.vision.regions import Region
from edged.vision.runtime import Runtime

Image = npt.NDArray[np.uint8]
Rng = np.random.Generator

WIDTHS_PX: Final = (94, 72, 60, 48, 40, 32)
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


def labelled(folder: Path) -> list[Labelled]:
    """The validation plates of labels.csv."""
    plates = []
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as lines:
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
        reads = vision.read_picture(picture(folder / file))
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


# ---- tables


def accuracy(vision: PlateVision, folder: Path) -> None:
    plates = labelled(folder)
    crops = [plate for plate in plates if plate.quad is None]
    scenes = [plate for plate in plates if plate.quad is not None]
    cut = read_crops(vision, folder, crops)
    found, strangers = read_scenes(vision, folder, scenes)
    heading(
        "Whole plates right (validation pictures)",
        "set",
        "n",
        "right",
        "found",
        "accepted",
        "right of accepted",
    )
    for name, outcomes in (("cut-outs", cut), ("scenes", found), *_by_kind(cut + found)):
        accepted = [o for o in outcomes if o.read is not None and o.read.reading.accepted]
        line(
            name,
            len(outcomes),
            interval(sum(o.right for o in outcomes), len(outcomes)),
            interval(sum(o.read is not None for o in outcomes), len(outcomes)),
            f"{len(accepted) / len(outcomes):.1%}",
            interval(sum(o.right for o in accepted), len(accepted)),
        )
    print(f"\nAccepted where no plate is labelled: {len(strangers)}.")
    widths(vision, folder, crops)
    confusions(cut + found)
    calibration(cut + found)
    coverage({"cut-outs": cut, "scenes": found})


def _by_kind(outcomes: list[Outcome]) -> Iterable[tuple[str, list[Outcome]]]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.truth.colour or "colour unknown", []).append(outcome)
    return sorted(groups.items())


def widths(vision: PlateVision, folder: Path, crops: list[Labelled]) -> None:
    heading("Cut-outs shrunk to a width", "plate width px", "n", "right")
    for width_px in WIDTHS_PX:
        outcomes = read_crops(vision, folder, crops, width_px)
        line(width_px, len(outcomes), interval(sum(o.right for o in outcomes), len(outcomes)))


def confusions(outcomes: list[Outcome]) -> None:
    pairs: Counter[str] = Counter()
    lengths = 0
    for outcome in outcomes:
        said = outcome.read.reading.text if outcome.read is not None else ""
        if len(said) != len(outcome.truth.text):
            lengths += 1
            continue
        pairs.update(f"{a} read as {b}" for a, b in zip(outcome.truth.text, said, strict=True) if a != b)
    heading("Confusions", "pair", "count")
    line("wrong length or nothing", lengths)
    for pair, count in pairs.most_common(12):
        line(pair, count)


def calibration(outcomes: list[Outcome]) -> None:
    sure, right = [], []
    for outcome in outcomes:
        if outcome.read is None or len(outcome.read.reading.text) != len(outcome.truth.text):
            continue
        sure += list(outcome.read.reading.characters)
        right += [a == b for a, b in zip(outcome.read.reading.text, outcome.truth.text, strict=True)]
    heading("Calibration of characters", "confidence", "n", "mean confidence", "right")
    edges, error = (0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0001), 0.0
    values, truth = np.asarray(sure), np.asarray(right)
    for low, high in pairwise(edges):
        inside = (values >= low) & (values < high)
        if inside.any():
            error += abs(values[inside].mean() - truth[inside].mean()) * inside.mean()
            line(
                f"{low}-{min(high, 1.0)}",
                inside.sum(),
                f"{values[inside].mean():.3f}",
                f"{truth[inside].mean():.3f}",
            )
    print(f"\nExpected calibration error: {error:.4f}.")


def coverage(sets: dict[str, list[Outcome]]) -> None:
    heading(
        "Right at a coverage, surest first (legal texts only)",
        "set",
        "70%",
        "80%",
        "90%",
        "92%",
        "95%",
        "100%",
    )
    for name, outcomes in sets.items():
        legal = [o for o in outcomes if o.read is not None and kinds_of(o.read.reading.text)]
        ranked = sorted(legal, key=lambda o: -o.read.reading.confidence)  # type: ignore[union-attr]
        cells = []
        for share in (0.7, 0.8, 0.9, 0.92, 0.95, 1.0):
            top = ranked[: math.floor(share * len(outcomes))]
            cells.append(f"{sum(o.right for o in top) / max(1, len(top)):.1%}")
        line(name, *cells)


def burst(vision: PlateVision, folder: Path) -> None:
    """Five frames of one scene with independent blur, noise and shift, against each frame alone."""
    rng = np.random.default_rng(4)
    spec = vision.manifest.reader
    scenes = [plate for plate in labelled(folder) if plate.quad is not None]
    single_wrong = fused_wrong = frames_read = 0
    for plate in scenes:
        image, quad = around(picture(folder / plate.file), plate)
        frames = [vision.read_frame(filmed(image, quad, rng)) for _ in range(5)]
        at = Labelled(file=plate.file, text=plate.text, colour=plate.colour, quad=quad)
        for reads in frames:
            read = nearest(reads, at)
            single_wrong += read is None or read.reading.text != plate.text
            frames_read += 1
        fused = nearest(fuse_burst(frames, labels=spec.labels, accept_from=spec.accept_from), at)
        fused_wrong += fused is None or fused.reading.text != plate.text
    heading("Burst of five frames", "reading", "n", "wrong")
    line("single frame", frames_read, interval(single_wrong, frames_read))
    line("fused", len(scenes), interval(fused_wrong, len(scenes)))


def around(image: Image, plate: Labelled) -> tuple[Image, npt.NDArray[np.float32]]:
    """The plate's surroundings at a scale where it is 90 px wide, and its corners there."""
    assert plate.quad is not None
    scale = 90 / float(np.linalg.norm(plate.quad[1] - plate.quad[0]))
    small = cv2.resize(
        image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    quad = plate.quad * scale
    left, top = np.maximum(0, quad.mean(axis=0) - (260, 160)).astype(int)
    return np.ascontiguousarray(small[top : top + 320, left : left + 520]), quad - np.asarray(
        (left, top), np.float32
    )


def filmed(image: Image, quad: npt.NDArray[np.float32], rng: Rng) -> Image:
    shift = np.asarray([[1, 0, rng.normal(0, 2)], [0, 1, rng.normal(0, 2)]], np.float32)
    frame = cv2.warpAffine(image, shift, (image.shape[1], image.shape[0]), borderMode=cv2.BORDER_REPLICATE)
    frame = cv2.GaussianBlur(frame, (0, 0), float(rng.uniform(0.4, 1.8)))
    noisy = frame + rng.normal(0, rng.uniform(2, 14), frame.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def far(vision: PlateVision, folder: Path) -> None:
    """Scenes shrunk until the plate is so wide, somewhere in a 1920x1080 frame, by polygon and without."""
    rng = np.random.default_rng(6)
    scenes = [plate for plate in labelled(folder) if plate.quad is not None]
    columns = ("plate width px", "n", "found with polygon", "right with polygon", "found without")
    heading("Far away in a 1920x1080 frame", *columns)
    for low, high in ((40, 60), (60, 80), (80, 120)):
        found = right = without = n = 0
        for plate in scenes:
            frame, quad = far_off(picture(folder / plate.file), plate, float(rng.uniform(low, high)), rng)
            at = Labelled(file=plate.file, text=plate.text, colour=plate.colour, quad=quad)
            reach = float(np.ptp(quad[:, 0])) * np.asarray((2.5, 2.2))  # about a car around its plate
            corners = (quad.mean(axis=0) + reach * np.asarray([[-1, -1], [1, -1], [1, 1], [-1, 1]])).round()
            read = nearest(vision.read_frame(frame, [(int(x), int(y)) for x, y in corners]), at)
            n, found = n + 1, found + (read is not None)
            right += read is not None and read.reading.text == plate.text
            without += nearest(vision.read_frame(frame), at) is not None
        line(f"{low}-{high}", n, interval(found, n), interval(right, n), interval(without, n))


def far_off(
    image: Image, plate: Labelled, width_px: float, rng: Rng
) -> tuple[Image, npt.NDArray[np.float32]]:
    """The scene with the plate `width_px` wide, somewhere in a frame of asphalt, and the plate's corners."""
    assert plate.quad is not None
    scale = width_px / float(np.linalg.norm(plate.quad[1] - plate.quad[0]))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=method)
    frame = np.clip(rng.normal(96, 10, (1080, 1920, 3)), 0, 255).astype(np.uint8)
    quad = plate.quad * np.float32(scale)
    if small.shape[0] > 1080 or small.shape[1] > 1920:
        left, top = np.maximum(0, quad.mean(axis=0) - (960, 540)).astype(int)
        small = small[top : top + 1080, left : left + 1920]
        quad = quad - np.asarray((left, top), np.float32)
    top = int(rng.integers(0, 1080 - small.shape[0] + 1))
    left = int(rng.integers(0, 1920 - small.shape[1] + 1))
    frame[top : top + small.shape[0], left : left + small.shape[1]] = small
    return frame, quad + np.asarray((left, top), np.float32)


def negatives(vision: PlateVision, folder: Path) -> None:
    """Street pictures held back from training: foreign plates or none, so nothing may be accepted."""
    paths = [p for p in sorted((folder / "street").rglob("*.jpg")) if zlib.crc32(p.name.encode()) % 4 == 0]
    accepted = entries = 0
    for path in paths:
        reads = vision.read_picture(picture(path))
        accepted += any(read.reading.accepted for read in reads)
        entries += len(reads)
    heading(
        "Pictures without a Chinese plate", "pictures", "with an accepted plate", "rejected entries a picture"
    )
    line(len(paths), interval(accepted, len(paths)), f"{entries / max(1, len(paths)):.2f}")


def latency(vision: PlateVision, folder: Path) -> None:
    """Stages on one 1920x1080 frame, on each runtime that is installed; medians and minima in ms."""
    cv2.setNumThreads(1)
    frame = readable_frame(vision, folder)
    corners = np.asarray([[800, 500], [960, 510], [958, 560], [798, 550]], np.float32)
    plate = Candidate(corners=corners, score=1.0, two_rows=0.0)
    whole = Region(left=0, top=0, right=1920, bottom=1080)
    heading("Latency, one thread", "runtime", "stage", "median ms", "fastest ms")
    for runtime in Runtime:
        try:
            timed_vision = PlateVision.load(runtime=runtime)
        except RuntimeMissing:
            continue
        # The stages are the pipeline's own parts; nothing else needs to reach them.
        parts = timed_vision
        detector, refiner, reader = parts._detector, parts._refiner, parts._reader
        framing = vision.manifest.reader.framing
        cut = rectifier.window(
            frame, corners, framing, rows=1, width_px=reader.width_px, height_px=reader.height_px
        )
        stages: dict[str, Callable[[], object]] = {
            "find (shrink, network, decode)": lambda d=detector: d.find(frame, whole, d.fitting_scale(whole)),
            "refine one plate": lambda r=refiner: r.refine(frame, plate),
            "read one plate": lambda r=reader, c=cut: r.read(c),
            "whole frame": lambda v=timed_vision: v.read_frame(frame),
        }
        for name, stage in stages.items():
            times = timed(stage, 60 if runtime is Runtime.LITERT else 10)
            line(runtime, name, f"{np.median(times):.2f}", f"{min(times):.2f}")


def runtimes(_: PlateVision, folder: Path) -> None:
    """Whether both runtimes say the same of the validation pictures."""
    try:
        new, old = (PlateVision.load(runtime=runtime) for runtime in Runtime)
    except RuntimeMissing as error:
        print(f"\nOne runtime only: {error}")
        return
    plates = labelled(folder)
    crops = [plate for plate in plates if plate.quad is None]
    scenes = [plate for plate in plates if plate.quad is not None]
    heading("Same answers on both runtimes", "set", "n", "same text", "largest difference of confidence")
    for name, left, right in (
        ("cut-outs", read_crops(new, folder, crops), read_crops(old, folder, crops)),
        ("scenes", read_scenes(new, folder, scenes)[0], read_scenes(old, folder, scenes)[0]),
    ):
        pairs = [(a.read, b.read) for a, b in zip(left, right, strict=True)]
        same = sum((a and a.reading.text) == (b and b.reading.text) for a, b in pairs)
        apart = [abs(a.reading.confidence - b.reading.confidence) for a, b in pairs if a and b]
        line(name, len(pairs), same, f"{max(apart, default=0.0):.3f}")


def readable_frame(vision: PlateVision, folder: Path) -> Image:
    """The first validation scene that, fitted into 1920x1080, has a plate that is accepted."""
    for path in sorted((folder / "scenes").rglob("[0-3]*.jpg")):
        scene = picture(path)
        scale = min(1080 / scene.shape[0], 1920 / scene.shape[1])
        scene = np.asarray(cv2.resize(scene, None, fx=scale, fy=scale), np.uint8)
        frame = np.full((1080, 1920, 3), 90, np.uint8)
        frame[: scene.shape[0], : scene.shape[1]] = scene
        if any(read.reading.accepted for read in vision.read_frame(frame)):
            return frame
    raise ValueError("no validation scene has a plate that is accepted: nothing to time")


def timed(stage: Callable[[], object], rounds: int) -> list[float]:
    for _ in range(3):
        stage()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        stage()
        times.append((time.perf_counter() - began) * 1e3)
    return times


def memory(vision: PlateVision, _: Path) -> None:
    """Peak memory of `edged read` on a 4-megapixel picture, and the size of the models."""
    spec = vision.manifest
    sizes = [f.model.path.stat().st_size for f in (spec.detector, spec.refiner, spec.reader)]
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"edged-bench-{os.getpid()}.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (153, 272, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(noise, (2448, 1632)))
    script = f"from edged.cli import app; app(['read', '--json', {str(path)!r}])"
    try:
        subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)
    finally:
        path.unlink()
    peak_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    heading("Size and memory", "what", "MB")
    line(
        "detector + refiner + reader",
        " + ".join(f"{s / 1e6:.3f}" for s in sizes) + f" = {sum(sizes) / 1e6:.3f}",
    )
    line("peak of `edged read`, 4-megapixel picture", f"{peak_kb / 1024:.0f}")


SECTIONS: Final = {
    "memory": memory,
    "accuracy": accuracy,
    "burst": burst,
    "far": far,
    "negatives": negatives,
    "latency": latency,
    "runtimes": runtimes,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    arguments = parser.parse_args()
    folder = Path(os.environ.get("EDGED_TEST_DATA", "../shared")) / "plates"
    if not (folder / "labels.csv").is_file():
        print(f"no pictures in {folder}: set EDGED_TEST_DATA to the folder above plates/", file=sys.stderr)
        return 2
    vision = PlateVision.load()
    print(f"Models {vision.manifest.version}.")
    for name in arguments.only:
        SECTIONS[name](vision, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
