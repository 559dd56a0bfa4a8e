"""What a pole meets: several frames of one plate, plates far away, pictures without any."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from sets import Image, Labelled, heading, interval, labelled, line, nearest, picture

from edged.domain.reading import PlateRead, decide, fuse, fuse_burst
from edged.vision.manifest import ReaderSpec
from edged.vision.pipeline import PlateVision

Rng = np.random.Generator
BURSTS_A_SCENE: Final = 4
CROWDS: Final = 30


def burst(vision: PlateVision, folder: Path) -> None:
    """Five frames of one scene with independent blur, noise and shift, against each frame alone."""
    rng = np.random.default_rng(4)
    spec = vision.manifest.reader
    scenes = [plate for plate in labelled(folder) if plate.quad is not None]
    bursts = [(plate, *frames_of(vision, folder, plate, rng)) for plate in scenes * BURSTS_A_SCENE]
    heading("Burst of five frames", "reading", "n", "wrong", "accepted", "accepted and wrong")
    alone = [(nearest(reads, at), plate) for plate, at, frames in bursts for reads in frames]
    burst_line("single frame", alone)
    fused = [
        (nearest(fuse_burst(frames, labels=spec.labels, accept_from=spec.accept_from), at), plate)
        for plate, at, frames in bursts
    ]
    burst_line("fused", fused)
    # What the fusing's one parameter does, on the reads of the labelled plate alone.
    for dependence in (0.0, 0.5, 0.8, 1.0):
        outcomes = []
        for plate, at, frames in bursts:
            seen = [read for read in (nearest(reads, at) for reads in frames) if read is not None]
            outcomes.append((refused(seen, dependence, spec) if seen else None, plate))
        burst_line(f"fused, dependence {dependence}", outcomes)


def frames_of(
    vision: PlateVision, folder: Path, plate: Labelled, rng: Rng
) -> tuple[Labelled, list[list[PlateRead]]]:
    """The labelled plate where it stands in five frames of its scene, and what was read on each."""
    image, quad = around(picture(folder / plate.file), plate)
    at = Labelled(file=plate.file, text=plate.text, colour=plate.colour, quad=quad)
    return at, [vision.read_frame(filmed(image, rng)) for _ in range(5)]


def refused(seen: list[PlateRead], dependence: float, spec: ReaderSpec) -> PlateRead:
    """The reads of one plate fused anew with this `dependence`."""
    probabilities = fuse(
        [read.probabilities for read in seen], [read.sharpness for read in seen], dependence=dependence
    )
    return replace(seen[0], reading=decide(probabilities, labels=spec.labels, accept_from=spec.accept_from))


def burst_line(name: str, outcomes: list[tuple[PlateRead | None, Labelled]]) -> None:
    wrong = [read is None or read.reading.text != plate.text for read, plate in outcomes]
    accepted = [read is not None and read.reading.accepted for read, _ in outcomes]
    both = sum(a and w for a, w in zip(accepted, wrong, strict=True))
    line(name, len(outcomes), interval(sum(wrong), len(wrong)), f"{np.mean(accepted):.1%}", both)


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


def filmed(image: Image, rng: Rng, shift_px: float = 2.0) -> Image:
    """The picture as one frame of a burst shows it: shifted, out of focus, noisy."""
    shift = np.asarray([[1, 0, rng.normal(0, shift_px)], [0, 1, rng.normal(0, shift_px)]], np.float32)
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


def crowds(vision: PlateVision, folder: Path) -> None:
    """Six validation scenes in one 1600x1200 picture, plates 50-160 px wide, by day and by night."""
    by_file: dict[str, list[Labelled]] = {}
    for plate in labelled(folder):
        if plate.quad is not None:
            by_file.setdefault(plate.file, []).append(plate)
    columns = ("light", "read as", "n", "found", "right", "accepted", "accepted and wrong")
    heading("Several vehicles in one picture", *columns)
    for night, closely in ((False, False), (False, True), (True, False), (True, True)):
        rng = np.random.default_rng(9)
        outcomes = []
        for _ in range(CROWDS):
            image, plates = crowd(folder, by_file, rng)
            reads = vision.read_picture(darkened(image, rng) if night else image, closely=closely)
            outcomes += [(nearest(reads, plate), plate) for plate in plates]
        found = [(read, plate) for read, plate in outcomes if read is not None]
        right = [(read, plate) for read, plate in found if read.reading.text == plate.text]
        accepted = sum(read.reading.accepted for read, _ in found)
        line(
            "night" if night else "day",
            "a file" if closely else "a frame",
            len(outcomes),
            interval(len(found), len(outcomes)),
            interval(len(right), len(outcomes)),
            f"{accepted / len(outcomes):.1%}",
            accepted - sum(read.reading.accepted for read, _ in right),
        )


def crowd(folder: Path, by_file: dict[str, list[Labelled]], rng: Rng) -> tuple[Image, list[Labelled]]:
    """Three by two pieces of scenes with the plates that stand whole in them."""
    wide, high = 533, 600
    image = np.full((2 * high, 3 * wide, 3), 90, np.uint8)
    plates = []
    files = sorted(by_file)
    for at in ((column * wide, row * high) for row in range(2) for column in range(3)):
        file = files[int(rng.integers(len(files)))]
        first = by_file[file][0]
        scale = float(np.exp(rng.uniform(np.log(50), np.log(160)))) / float(np.ptp(first.quad[:, 0]))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(picture(folder / file), None, fx=scale, fy=scale, interpolation=method)
        middle = first.quad.mean(axis=0) * scale + rng.uniform(-80, 80, 2)
        room = np.maximum((small.shape[1] - wide, small.shape[0] - high), 0)
        left, top = np.clip(middle - (wide / 2, high / 2), 0, room).astype(int)
        piece = small[top : top + high, left : left + wide]
        image[at[1] : at[1] + piece.shape[0], at[0] : at[0] + piece.shape[1]] = piece
        for plate in by_file[file]:
            quad = plate.quad * np.float32(scale) - np.asarray((left, top), np.float32)
            if (quad > 2).all() and (quad < (piece.shape[1] - 2, piece.shape[0] - 2)).all():
                plates.append(replace(plate, quad=quad + np.asarray(at, np.float32)))
    return image, plates


def darkened(image: Image, rng: Rng) -> Image:
    """The picture by night: dark, noisy, with five lamps that glare."""
    height, width = image.shape[:2]
    light = image * np.float32(rng.uniform(0.2, 0.45))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    for _ in range(5):
        at_x, at_y, reach = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(10, 60)
        lamp = np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * reach**2))
        light += (rng.uniform(100, 300) * lamp)[:, :, None]
    return np.clip(light + rng.normal(0, 6, light.shape), 0, 255).astype(np.uint8)


def negatives(vision: PlateVision, folder: Path) -> None:
    """Street pictures held back from training: foreign plates or none, so nothing may be accepted."""
    paths = [p for p in sorted((folder / "street").rglob("*.jpg")) if zlib.crc32(p.name.encode()) % 4 == 0]
    accepted = entries = 0
    for path in paths:
        reads = vision.read_picture(picture(path), closely=True)
        accepted += any(read.reading.accepted for read in reads)
        entries += len(reads)
    heading(
        "Pictures without a Chinese plate", "pictures", "with an accepted plate", "rejected entries a picture"
    )
    line(len(paths), interval(accepted, len(paths)), f"{entries / max(1, len(paths)):.2f}")
