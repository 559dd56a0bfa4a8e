"""Which of several readings of one place to keep: decided by what was read, not by how it was found."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edged.domain.plate import kinds_of
from edged.domain.reading import PlateRead, Quad, odds_lost, width_px
from edged.picture import Image

# What shows fewer characters is a lamp, a badge or a sign.
_FEWEST_CHARACTERS = 5
# Mean confidence of the characters. On a plate most are sure even if one is not (validation: 0.76 and more);
# headlights, badges and the camera's own clock are unsure throughout. Raised from 0.55 it took away a third
# of the stray entries on plate-free pictures, and no plate was lost.
LEGIBLE_FROM = 0.65
# A plate nearer to the picture's edge than this part of its width may go on beyond it.
_CUT_OFF_WITHIN = 0.02
# Wider than this part of the picture it is what the picture was cut out for, not a vehicle leaving the view.
_CUT_OUT_FROM = 0.6
# Boxes that share more than this of the smaller one show one plate.
_SAME_PLATE = 0.45


def legibility(read: PlateRead) -> float:
    """Return the mean confidence of the characters; 0 where there are too few for a plate.

    A narrow plate is as legible as its window: the doubt for its width concerns acceptance alone.
    """
    lost = odds_lost(width_px(read.corners))
    characters = [c * lost / (1 - c + c * lost) for c in read.reading.characters]
    return sum(characters) / len(characters) if len(characters) >= _FEWEST_CHARACTERS else 0.0


def sureness(read: PlateRead) -> tuple[bool, bool, bool, float]:
    """Return what readings are ordered by: accepted, a plate's text, the whole plate, confidence.

    Confidence alone does not do: rows read the wrong way give blanks that the reader is sure of.
    """
    reading = read.reading
    return reading.accepted, bool(kinds_of(reading.text)), not read.cut_off, reading.confidence


def once_each(reads: Sequence[PlateRead]) -> list[PlateRead]:
    """Return the surest reading of each place, surest first."""
    kept: list[PlateRead] = []
    for read in sorted(reads, key=sureness, reverse=True):
        if not any(same_place(read.corners, other.corners) for other in kept):
            kept.append(read)
    return kept


def same_place(left: Quad, right: Quad) -> bool:
    """Tell whether two quads show one plate, or one of them a part of it."""
    boxes = np.asarray([left, right], np.float32)
    low, high = boxes.min(axis=1), boxes.max(axis=1)
    shared = np.prod(np.clip(high.min(axis=0) - low.max(axis=0), 0, None))
    return bool(shared > _SAME_PLATE * np.prod(high - low, axis=1).min())


def doubted_if_cut_off(read: PlateRead, image: Image) -> PlateRead:
    """Return the read, not accepted where the plate touches the picture's edge."""
    (height, width), corners = image.shape[:2], np.asarray(read.corners)
    plate_px = width_px(read.corners)
    margin = _CUT_OFF_WITHIN * plate_px
    has_room = (corners >= margin).all() and (corners <= np.subtract((width, height), margin)).all()
    if has_room or plate_px >= _CUT_OUT_FROM * width:
        return read
    return replace(read, reading=replace(read.reading, accepted=False), cut_off=True)
