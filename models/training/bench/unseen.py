"""Plates of which a character cannot be seen: whatever is read on them may not be believed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sets import Image, Labelled, heading, interval, labelled, line, picture

from edged.domain.reading import PlateRead
from edged.vision.pipeline import PlateVision


def unseen(vision: PlateVision, folder: Path) -> None:
    """Pictures that end in a plate's first or last character, and cut-outs with one painted over."""
    plates = labelled(folder)
    crops = [plate for plate in plates if plate.quad is None]
    scenes = [plate for plate in plates if plate.quad is not None]
    heading("A character is not to be seen", "what", "n", "accepted", "accepted and wrong")
    for name, of_set, spoiled in (
        ("scene, cut off at the edge", scenes, _ends),
        ("cut-out, cut off", crops, _ends),
        ("cut-out, one character painted over", crops, _painted),
    ):
        accepted, wrong, n = 0, 0, 0
        for plate in of_set:
            for part, left in spoiled(picture(folder / plate.file), plate):
                reads = [vision.read_crop(part)] if plate.quad is None else vision.read_frame(part)
                believed = [read for read in reads if read.reading.accepted and _is_of(read, plate, left)]
                n += 1
                accepted += bool(believed)
                wrong += any(read.reading.text != plate.text for read in believed)
        line(name, n, interval(accepted, n), interval(wrong, n))


def _ends(image: Image, plate: Labelled) -> Iterator[tuple[Image, int]]:
    """The picture cut upright: a good half of the plate's last, then of its first character is gone.

    With each the px cut away on its left.
    """
    left, right = (0, image.shape[1]) if plate.quad is None else plate.quad[:, 0].round()[[0, 1]]
    gone = 0.1 * (right - left)
    yield np.ascontiguousarray(image[:, : int(right - gone)]), 0
    yield np.ascontiguousarray(image[:, int(left + gone) :]), int(left + gone)


def _painted(image: Image, plate: Labelled) -> Iterator[tuple[Image, int]]:
    """Each of a one-row plate's characters in turn under the plate's own colour."""
    width = image.shape[1]
    ground = np.median(image.reshape(-1, 3), axis=0)
    for i in range(len(plate.text)):
        # The standard's measures: margins of 15.5 mm, 57 mm a character, 22 mm more after the second.
        left = (15.5 + 57 * i + (22 if i > 1 else 0)) / 440 * width
        covered = image.copy()
        covered[:, int(left) : int(left + 0.115 * width)] = ground
        yield covered, 0


def _is_of(read: PlateRead, plate: Labelled, left_px: int) -> bool:
    """Whether it is this plate that was read, not a neighbour."""
    if plate.quad is None:
        return True
    centre = np.add(np.mean(read.corners, axis=0), (left_px, 0))
    apart = centre - plate.quad.mean(axis=0)
    return bool(np.linalg.norm(apart) < 0.7 * np.ptp(plate.quad[:, 0]))
