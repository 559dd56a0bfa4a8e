"""Every kind of plate, drawn onto held-out street pictures, through the whole path: real ones are too few."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from sets import Image, Labelled, heading, interval, line, nearest

sys.path.append(str(Path(__file__).resolve().parents[1]))

import plate_art
from carriers import Carrier, load_carriers
from painting import paint, white_point

from edged.vision.pipeline import PlateVision

PLATES_A_KIND: Final = 120
Rng = np.random.Generator


def kinds(vision: PlateVision, folder: Path) -> None:
    """Clear pictures by day: what is measured is whether a kind is known, not what blur does to it."""
    glyphs = plate_art.load_glyphs(folder / "glyphs")
    carriers = [c for c in load_carriers(folder, held_out=True) if len(c.quads) == 1 and _is_large(c)]
    heading("Drawn plates of every kind", "kind", "n", "found", "right", "kind right", "accepted and wrong")
    for kind in plate_art.KINDS:
        rng = np.random.default_rng(21)
        found = right = kind_right = wrong = 0
        for _ in range(PLATES_A_KIND):
            plate = plate_art.sample_plate(rng, kind)
            art = plate_art.draw_plate(plate, rng, glyphs)
            carrier = carriers[int(rng.integers(len(carriers)))]
            image, quad = _dressed(carrier, art, plate_art.size_mm(plate.layout), rng)
            at = Labelled(file=carrier.name, text=plate.text, colour=plate.colour, quad=quad)
            read = nearest(vision.read_picture(image, closely=True), at)
            if read is None:
                continue
            is_right = read.reading.text == plate.text
            found, right = found + 1, right + is_right
            kind_right += read.reading.kind == kind
            wrong += read.reading.accepted and not is_right
        n = PLATES_A_KIND
        line(kind, n, interval(found, n), interval(right, n), interval(kind_right, n), wrong)


def _is_large(carrier: Carrier) -> bool:
    quad = carrier.quads[0]
    room = (carrier.image.shape[1], carrier.image.shape[0]) - np.ptp(quad, axis=0)
    return bool(np.ptp(quad[:, 0]) >= 80 and (quad > 12).all() and (room > 60).all())


def _dressed(
    carrier: Carrier, art: Image, size_mm: tuple[int, int], rng: Rng
) -> tuple[Image, npt.NDArray[np.float32]]:
    """The picture with the drawn plate over its own one, as wide and in the new plate's shape."""
    image, old = carrier.image.copy(), carrier.quads[0]
    across, centre = (old[1] + old[2] - old[0] - old[3]) / 2, old.mean(axis=0)
    down = (old[2] + old[3] - old[0] - old[1]) / 2
    down *= max(1.0, float(np.linalg.norm(across)) * size_mm[1] / size_mm[0] / float(np.linalg.norm(down)))
    unit = np.asarray([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32) * 0.515
    quad = np.asarray(centre + unit[:, :1] * across + unit[:, 1:] * down, np.float32)
    paint(rng, image, art, quad, white=white_point(image, old))
    return image, quad
