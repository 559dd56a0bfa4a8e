"""The reference of a view: the median of its first sharp daytime pictures, renewed daily while it matches."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edged.view.place import Agreement, Outline, Place, Slopes, agreement, place_of, slopes_of
from edged.view.sight import Grey, Sight

FIRST_PICTURES = 20
_DAILY_PICTURES = 9  # a median of nine has no car and no passer-by in it any more; 130 kB each in memory
_RENEWED_FROM = 5
_DAYLIGHT_FROM = 50.0  # mean grey level; a street under a lamp has 10 to 45


@dataclass(slots=True)
class Reference:
    """What a view shows when nothing is wrong. `count`: pictures of the first median so far.

    Until `count` reaches FIRST_PICTURES, or a person confirms the view, each further one improves the median.
    """

    outlines: Sequence[Outline]
    place: Place | None = None
    size_px: tuple[int, int] | None = None
    count: int = 0
    day: int = 0
    _pictures: list[Grey] = field(default_factory=list)

    @property
    def is_settled(self) -> bool:
        return self.count >= FIRST_PICTURES

    def compare(self, slopes: Slopes) -> Agreement | None:
        """Return how well a picture agrees, None without a reference or with one of another shape."""
        if self.place is None or self.place.grey.shape != slopes.shape:
            return None
        return agreement(self.place, slopes)

    def learn(self, sight: Sight, day: int) -> bool:
        """Take in a picture that is in order; return whether the reference changed. `day` counts days."""
        if sight.grey.mean() < _DAYLIGHT_FROM and self.place is not None:
            return False
        if not self.is_settled:
            return self._improve(sight, day)
        if day != self.day:
            return self._renew(sight, day)
        if len(self._pictures) < _DAILY_PICTURES:
            self._pictures.append(sight.grey)
        return False

    def restore(self, grey: Grey, *, size_px: tuple[int, int], count: int, day: int) -> None:
        """Take up a reference as it was kept."""
        self._set(grey, size_px)
        self.count, self.day = count, day
        self._pictures = [] if self.is_settled else [grey]

    def confirm(self, sight: Sight, day: int) -> None:
        """Make what a person has looked at the reference."""
        self.restore(sight.grey, size_px=sight.size_px, count=FIRST_PICTURES, day=day)

    def forget(self) -> None:
        """Begin anew with the next picture."""
        self.place, self.size_px, self.count, self._pictures = None, None, 0, []

    def _improve(self, sight: Sight, day: int) -> bool:
        self._pictures.append(sight.grey)
        self.count += 1
        self.day = day
        self._set(_median(self._pictures), sight.size_px)
        if self.is_settled:
            self._pictures = []
        return True

    def _renew(self, sight: Sight, day: int) -> bool:
        """Replace the reference by the median of yesterday's pictures, if that still shows the same place."""
        pictures, self._pictures, self.day = self._pictures, [sight.grey], day
        if len(pictures) < _RENEWED_FROM or self.place is None:
            return False
        median = _median(pictures)
        agreed = agreement(self.place, slopes_of(median))
        if agreed is None or not agreed.is_same:
            return False
        self._set(median, sight.size_px)
        return True

    def _set(self, grey: Grey, size_px: tuple[int, int]) -> None:
        self.place = place_of(grey, self.outlines, size_px)
        self.size_px = size_px


def _median(pictures: Sequence[Grey]) -> Grey:
    return np.asarray(np.median(np.stack(pictures), axis=0), np.uint8)
