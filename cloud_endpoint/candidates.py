"""Which berths an order may choose from: near its place, padded, and told in kerb order.

The answer must not be an oracle: the claimed plate is not even an argument here, and the order of the
answer is that of the kerb, so that it says nothing about who stands where.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, hypot, radians

MOST_CANDIDATES = 5
FEWEST_CANDIDATES = 2
METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kerbside:
    """A berth that may be offered; `wanted` means that an unheld vehicle stands in it."""

    berth_id: str
    berth_no: str
    zone_id: str | None
    kerb_order: int
    distance_m: float  # from the order's place
    wanted: bool


def choose(near: Sequence[Kerbside], rng: random.Random) -> list[Kerbside]:
    """Return up to five berths in kerb order: occupied unheld ones first, then the nearest neighbours.

    Ties (a zone gives no position) are broken by `rng`, not by arrival. Fewer than two come back when
    fewer are near; the caller refuses then.
    """
    shuffled = list(near)
    rng.shuffle(shuffled)
    shuffled.sort(key=lambda berth: (not berth.wanted, berth.distance_m))
    chosen = shuffled[:MOST_CANDIDATES]
    return sorted(chosen, key=lambda berth: (berth.zone_id or "", berth.kerb_order, berth.berth_no))


def distance_m(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """Return the distance of two nearby points in metres (equirectangular; fine below some km)."""
    north = (other_lat - lat) * METRES_PER_DEGREE
    east = (other_lon - lon) * METRES_PER_DEGREE * cos(radians((lat + other_lat) / 2))
    return hypot(north, east)
