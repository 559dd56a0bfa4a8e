"""Latency by stage and runtime, whether the runtimes agree, size and memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from sets import Image, heading, labelled, line, picture, read_crops, read_scenes

from edged.vision import rectifier
from edged.vision.detector import Candidate
from edged.vision.errors import RuntimeMissing
from edged.vision.pipeline import PlateVision
from edged.vision.regions import Region
from edged.vision.runtime import Runtime


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
        detector, refiner = parts._detector, parts._refiner
        quick_reader, reader = parts._quick_reader, parts._reader
        framing = vision.manifest.reader.framing
        cut = rectifier.window(
            frame, corners, framing, rows=1, width_px=reader.width_px, height_px=reader.height_px
        )
        stages: dict[str, Callable[[], object]] = {
            "find (shrink, network, decode)": lambda d=detector: d.find(frame, whole, d.fitting_scale(whole)),
            "refine one plate": lambda r=refiner: r.refine(frame, plate),
            "read one plate quickly": lambda r=quick_reader, c=cut: r.read(c),
            "read one plate carefully": lambda r=reader, c=cut: r.read(c),
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
    heading(
        "Same answers on both runtimes",
        *(
            "set",
            "n",
            "same text",
            "accepted on one only",
            "accepted on both, texts differ",
            "confidences at most apart",
        ),
    )
    for name, left, right in (
        ("cut-outs", read_crops(new, folder, crops), read_crops(old, folder, crops)),
        ("scenes", read_scenes(new, folder, scenes)[0], read_scenes(old, folder, scenes)[0]),
    ):
        pairs = [(a.read, b.read) for a, b in zip(left, right, strict=True)]
        same = sum((a and a.reading.text) == (b and b.reading.text) for a, b in pairs)
        apart = [abs(a.reading.confidence - b.reading.confidence) for a, b in pairs if a and b]
        accepted = [(bool(a and a.reading.accepted), bool(b and b.reading.accepted)) for a, b in pairs]
        one_only = sum(a != b for a, b in accepted)
        both = [(a, b) for (a, b), (x, y) in zip(pairs, accepted, strict=True) if a and b and x and y]
        differ = sum(a.reading.text != b.reading.text for a, b in both)
        line(name, len(pairs), same, one_only, differ, f"{max(apart, default=0.0):.3f}")


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
    specs = (spec.detector, spec.refiner, spec.quick_reader, spec.reader)
    sizes = [each.model.path.stat().st_size for each in specs]
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
        "detector + refiner + quick reader + reader",
        " + ".join(f"{s / 1e6:.3f}" for s in sizes) + f" = {sum(sizes) / 1e6:.3f}",
    )
    line("peak of `edged read`, 4-megapixel picture", f"{peak_kb / 1024:.0f}")
