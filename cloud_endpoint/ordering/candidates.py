"""The berths that an order may choose from: by its place and by nothing else, in kerb order.

The answer must be no oracle, so what stands in the berths is not even an argument here, nor is the claimed
plate: the same place is answered alike whoever asks and whatever stands there (docs/decisions/0055).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil

MOST_CANDIDATES = 5
FEWEST_CANDIDATES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Kerbside:
    """A berth that may be offered."""

    berth_id: str
    berth_no: str
    zone_id: str | None
    kerb_order: int


def choose(near: Sequence[Kerbside], *, first: int, shown: Collection[str], further: bool) -> list[Kerbside]:
    """Return up to five of the berths `near` a place, which are in order of their nearness.

    They are cut into windows of five. Of an order that has seen none, window number `first` (modulo their
    count) is returned; else the one it has `shown` (berth ids), or, when the driver looks `further`, the
    next one. Round and round, every berth comes up.
    """
    windows = max(1, ceil(len(near) / MOST_CANDIDATES))
    last = max(0, len(near) - MOST_CANDIDATES)  # the last window is filled up from the one before
    cut = [near[min(i * MOST_CANDIDATES, last) :][:MOST_CANDIDATES] for i in range(windows)]
    number = first % windows
    seen = [i for i, window in enumerate(cut) if shown and {berth.berth_id for berth in window} >= set(shown)]
    if seen:
        number = (seen[0] + further) % windows
    return sorted(cut[number], key=lambda berth: (berth.zone_id or "", berth.kerb_order, berth.berth_no))
