"""What a reading is: from slot distributions to a text, its confidence, and whether it may decide anything.

The reader answers with one calibrated distribution over the labels for each character slot; the empty label
means that the slot holds nothing. Everything here is arithmetic on those lists.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edged.domain.plate import PlateKind, kinds_of

Distribution = tuple[float, ...]  # probabilities of the labels, adding up to 1
Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]  # px, clockwise from top left

# A distribution that rules a label out for good would let one bad frame veto four good ones.
_FLOOR = 1e-6
# Hardly issued any more as an authority letter, and what a blurred D or 0 there looks like: a reader's surest
# mistakes (three of the five wrong ones among 588 accepted bursts).
_HARDLY_ISSUED = "O"
# A green plate of which seven characters are seen reads like a blue one's whole text: its looks must agree.
_LOOKS_AGREE_FROM = 0.5
# Narrower plates are read and never accepted: of 45 held-out ones of less than 40 px that the reader was sure
# of, two were wrong.
NARROWEST_ACCEPTED_PX = 40.0
# The network does not know of how few pixels its window was made. Below this width the odds that it is right
# are divided by what the plate lacks in width.
_FULL_ODDS_FROM_PX = 80.0
# Where two readers see two characters, the odds are so many times worse than what one of them says.
_CONTESTED = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotProbabilities:
    """What the reading network gives for one plate in one frame, calibrated.

    `slots`: a distribution over the labels for each slot. `kinds`: probability of each kind; what is
    missing to 1 is the probability that this is no plate at all.
    """

    slots: tuple[Distribution, ...]
    kinds: Mapping[PlateKind, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateReading:
    """A plate as it was read: the best text with its confidence.

    `characters` has one confidence for each character of `text`. `confidence` is that of the weakest slot,
    empty ones included: a plate with a character too few is as wrong as one with a character mistaken. Only
    an `accepted` reading may decide an order.
    """

    text: str
    kind: PlateKind
    characters: tuple[float, ...]
    confidence: float
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateRead:
    """One physical plate in one frame: its reading and all that fusing it with other frames takes.

    `corners` in px of the frame; `sharpness` >= 0 compares frames of one plate with each other, no more.
    A plate that is `cut_off` goes on beyond the frame's edge: a character may be missing, so it is never
    accepted.
    """

    reading: PlateReading
    corners: Quad
    probabilities: SlotProbabilities
    sharpness: float
    cut_off: bool = False


def decide(
    probabilities: SlotProbabilities,
    *,
    labels: Sequence[str],
    accept_from: float,
    no_plate_below: float = 0.5,
) -> PlateReading:
    """Return the best reading. Accepted: the weakest slot reaches `accept_from` and the text fits its kind.

    A plate with the authority letter O is never accepted: people look at it. The grammar chooses among kinds
    and refuses; it never changes a character. Kinds that add up to less than `no_plate_below` belong to
    something else than a plate: never accepted, nor is a text of kinds that the plate does not look like.
    """
    likeliest = [_top(slot) for slot in probabilities.slots]
    tops = _without_gaps(likeliest, probabilities.slots, labels)
    text = "".join(labels[top] for top in tops)
    confidences = [slot[top] for slot, top in zip(probabilities.slots, tops, strict=True)]
    confidence = min(confidences, default=0.0)
    fitting = kinds_of(text)
    kind = max(fitting or tuple(PlateKind), key=lambda k: probabilities.kinds.get(k, 0.0))
    plate_probability = sum(probabilities.kinds.values())
    looks_like_it = (
        sum(probabilities.kinds.get(k, 0.0) for k in fitting) >= _LOOKS_AGREE_FROM * plate_probability
    )
    return PlateReading(
        text=text,
        kind=kind,
        characters=tuple(c for c, top in zip(confidences, tops, strict=True) if labels[top]),
        confidence=confidence,
        accepted=bool(fitting)
        and looks_like_it
        and tops == likeliest
        and text[1] != _HARDLY_ISSUED
        and confidence >= accept_from
        and plate_probability >= no_plate_below,
    )


def _without_gaps(tops: list[int], slots: Sequence[Distribution], labels: Sequence[str]) -> list[int]:
    """Return the labels with each empty one before the last character replaced by the likeliest character.

    A character that is not to be seen leaves its slot empty. There is one all the same; this is the guess.
    """
    last = max((i for i, top in enumerate(tops) if labels[top]), default=-1)
    return [
        max((j for j, label in enumerate(labels) if label), key=slots[i].__getitem__)
        if i < last and not labels[top]
        else top
        for i, top in enumerate(tops)
    ]


def fuse(
    probabilities: Sequence[SlotProbabilities], sharpness: Sequence[float], *, dependence: float = 0.8
) -> SlotProbabilities:
    """Return the probabilities of several frames of one plate: the product of their distributions, weighted.

    Each frame counts by its sharpness relative to the sharpest. Frames of one camera share their errors
    (shadow, dirt, angle): with `dependence` 0 they count as independent, with 1 as one frame.

    Raises ValueError when there is no frame, or not one sharpness for each frame.
    """
    if not probabilities:
        raise ValueError("no frames to fuse")
    weights = _weights(sharpness, dependence)
    slots = tuple(
        _product([frame.slots[i] for frame in probabilities], weights)
        for i in range(len(probabilities[0].slots))
    )
    names = tuple(PlateKind)
    rows = [_with_rest([frame.kinds.get(kind, 0.0) for kind in names]) for frame in probabilities]
    return SlotProbabilities(slots=slots, kinds=dict(zip(names, _product(rows, weights), strict=False)))


def doubted(
    probabilities: SlotProbabilities, second: SlotProbabilities, *, plate_px: float
) -> SlotProbabilities:
    """Return the probabilities with the doubt that the network cannot know of, measured on held-out plates.

    `second` is what another reader sees: a slot in which it sees another character is contested. A plate
    `plate_px` wide, narrower than `_FULL_ODDS_FROM_PX`, is less sure than its enlarged window looks.
    """
    narrow = odds_lost(plate_px)
    if narrow == 1 and probabilities.slots is second.slots:
        return probabilities
    slots = tuple(
        _with_odds_divided(slot, narrow * (_CONTESTED if _top(slot) != _top(other) else 1.0))
        for slot, other in zip(probabilities.slots, second.slots, strict=True)
    )
    return SlotProbabilities(slots=slots, kinds=probabilities.kinds)


def odds_lost(plate_px: float) -> float:
    """Return what the odds of each character are divided by because the plate is narrow; 1 when it is not."""
    return max(1.0, _FULL_ODDS_FROM_PX / max(1.0, plate_px))


def _top(slot: Distribution) -> int:
    return slot.index(max(slot))


def _with_odds_divided(slot: Distribution, divisor: float) -> Distribution:
    """The distribution with the odds of its likeliest label divided; the others keep their proportions.

    Divided no further than that it stays the likeliest: doubt does not change what is read.
    """
    if divisor == 1:
        return slot
    top = _top(slot)
    second = max((p for i, p in enumerate(slot) if i != top), default=0.0)
    divisor = min(divisor, slot[top] / second) if second > 0 else divisor
    total = slot[top] + divisor * (sum(slot) - slot[top])
    return tuple(p / total if i == top else p * divisor / total for i, p in enumerate(slot))


def fuse_burst(
    frames: Sequence[Sequence[PlateRead]],
    *,
    labels: Sequence[str],
    accept_from: float,
    no_plate_below: float = 0.5,
) -> list[PlateRead]:
    """Return each physical plate of a burst once, the most often and most surely read first.

    Reads of different frames are one plate when either's centre lies within half a plate width of the
    other's: the vehicle is parked. Corners are the sharpest frame's.
    """
    groups: list[list[PlateRead]] = []
    for frame in frames:
        free = list(range(len(groups)))
        for read in frame:
            near = [g for g in free if _same_place(read.corners, groups[g][-1].corners)]
            if near:
                best = min(near, key=lambda g: _distance(read.corners, groups[g][-1].corners))
                groups[best].append(read)
                free.remove(best)
            else:
                groups.append([read])
    fused = [
        _fused_read(group, labels=labels, accept_from=accept_from, no_plate_below=no_plate_below)
        for group in groups
    ]
    order = sorted(
        range(len(groups)),
        key=lambda g: (fused[g].reading.accepted, len(groups[g]), fused[g].reading.confidence),
        reverse=True,
    )
    return [fused[g] for g in order]


def width_px(corners: Quad) -> float:
    """Return the mean length of a plate's upper and lower edge."""
    top_left, top_right, bottom_right, bottom_left = corners
    return (math.dist(top_left, top_right) + math.dist(bottom_left, bottom_right)) / 2


def wide_enough(corners: Quad) -> bool:
    """Tell whether a plate is wide enough to be believed, whatever is read on it."""
    return width_px(corners) >= NARROWEST_ACCEPTED_PX


def _fused_read(
    group: Sequence[PlateRead], *, labels: Sequence[str], accept_from: float, no_plate_below: float
) -> PlateRead:
    sharpest = max(group, key=lambda read: read.sharpness)
    probabilities = fuse([read.probabilities for read in group], [read.sharpness for read in group])
    reading = decide(probabilities, labels=labels, accept_from=accept_from, no_plate_below=no_plate_below)
    cut_off = any(read.cut_off for read in group)
    return PlateRead(
        reading=replace(reading, accepted=reading.accepted and not cut_off and wide_enough(sharpest.corners)),
        corners=sharpest.corners,
        probabilities=probabilities,
        sharpness=sharpest.sharpness,
        cut_off=cut_off,
    )


def _weights(sharpness: Sequence[float], dependence: float) -> list[float]:
    sharpest = max(sharpness)
    relative = [value / sharpest if sharpest > 0 else 1.0 for value in sharpness]
    scale = sum(relative) ** -dependence
    return [value * scale for value in relative]


def _product(rows: Sequence[Sequence[float]], weights: Sequence[float]) -> Distribution:
    logs = [
        sum(weight * math.log(max(p, _FLOOR)) for p, weight in zip(column, weights, strict=True))
        for column in zip(*rows, strict=True)
    ]
    highest = max(logs)
    powers = [math.exp(value - highest) for value in logs]
    total = sum(powers)
    return tuple(power / total for power in powers)


def _with_rest(kinds: Sequence[float]) -> list[float]:
    return [*kinds, max(0.0, 1.0 - sum(kinds))]


def _centre(corners: Quad) -> Point:
    return sum(x for x, _ in corners) / 4, sum(y for _, y in corners) / 4


def _distance(left: Quad, right: Quad) -> float:
    return math.dist(_centre(left), _centre(right))


def _same_place(left: Quad, right: Quad) -> bool:
    return _distance(left, right) < 0.5 * max(width_px(left), width_px(right))
