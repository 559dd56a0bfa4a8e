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
            for part in spoiled(picture(folder / plate.file), plate):
                reads = [vision.read_crop(part)] if plate.quad is None else vision.read_frame(part)
                believed = [read for read in reads if read.reading.accepted and _is_of(read, plate)]
                n += 1
                accepted += bool(believed)
                wrong += any(read.reading.text != plate.text for read in believed)
        line(name, n, interval(accepted, n), interval(wrong, n))


def _ends(image: Image, plate: Labelled) -> Iterator[Image]:
    """The picture cut upright: a good half of the plate's last, then of its first character is gone."""
    left, right = (0, image.shape[1]) if plate.quad is None else plate.quad[:, 0].round()[[0, 1]]
    gone = 0.1 * (right - left)
    yield np.ascontiguousarray(image[:, : int(right - gone)])
    yield np.ascontiguousarray(image[:, int(left + gone) :])


def _painted(image: Image, plate: Labelled) -> Iterator[Image]:
    """Each of a one-row plate's characters in turn under the plate's own colour."""
    width = image.shape[1]
    ground = np.median(image.reshape(-1, 3), axis=0)
    for i in range(len(plate.text)):
        # The standard's measures: margins of 15.5 mm, 57 mm a character, 22 mm more after the second.
        left = (15.5 + 57 * i + (22 if i > 1 else 0)) / 440 * width
        covered = image.copy()
        covered[:, int(left) : int(left + 0.115 * width)] = ground
        yield covered


def _is_of(read: PlateRead, plate: Labelled) -> bool:
    """Whether it is this plate that was read, not a neighbour."""
    text = read.reading.text
    from_left = sum(a == b for a, b in zip(text, plate.text, strict=False))
    from_right = sum(a == b for a, b in zip(text[::-1], plate.text[::-1], strict=False))
    return max(from_left, from_right) > 2
