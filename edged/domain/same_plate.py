"""One plate in two open visits: neither reading decides before a fresh look at both.

A frozen or wrongly aimed camera, a car that changed berths unseen, a cloned plate: a picture of each berth
tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# One look may be spoilt by a passer-by: after so many in a row without the plate a berth does not show it.
_LOOKS_WITHOUT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPlate:
    """What was last read in an open visit."""

    visit_id: str
    berth_no: str
    plate: str
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What follows from an accepted reading. `withdraw`: readings of other visits that decide nothing any
    more.

    `look_again`: the doubling is new, so this berth wants a fresh look as well. `still_shown_in`: the other
    berths that have shown the plate in a fresh look too; a person has to look.
    """

    accepted: bool
    withdraw: tuple[OpenPlate, ...] = ()
    look_again: bool = False
    still_shown_in: tuple[str, ...] = ()


class SamePlates:
    """Keeps which open visits show one plate. Not for several threads."""

    def __init__(self) -> None:
        self._doubled: dict[str, set[str]] = {}  # by plate: the visits concerned
        self._fresh: dict[str, set[str]] = {}  # by plate: those of them looked at since it was found
        self._without: dict[str, int] = {}  # by visit: looks in a row that did not show the plate

    def claim(self, visit_id: str, plate: str, open_plates: Sequence[OpenPlate]) -> Claim:
        """Judge an accepted reading by what the other open visits show."""
        doubled = self._doubled.get(plate, set())
        others = [
            other
            for other in open_plates
            if other.plate == plate
            and other.visit_id != visit_id
            and (other.accepted or other.visit_id in doubled)
        ]
        if not others:
            self._doubled.pop(plate, None)
            self._fresh.pop(plate, None)
            return Claim(accepted=True)
        is_new = visit_id not in doubled
        self._doubled[plate] = doubled | {visit_id, *(other.visit_id for other in others)}
        fresh = self._fresh.setdefault(plate, set())
        if is_new:
            fresh.clear()
        else:
            fresh.add(visit_id)
        return Claim(
            accepted=False,
            withdraw=tuple(other for other in others if other.accepted),
            look_again=is_new,
            still_shown_in=tuple(
                other.berth_no for other in others if not is_new and other.visit_id in fresh
            ),
        )

    def looked(self, visit_id: str, shown: str) -> None:
        """Note which plate a fresh look at an open visit shows, "" for none, however sure it is.

        A visit that does not show a doubled plate any more keeps no other visit from it.
        """
        for plate, visits in self._doubled.items():
            if visit_id not in visits:
                continue
            self._without[visit_id] = 0 if shown == plate else self._without.get(visit_id, 0) + 1
            if self._without[visit_id] >= _LOOKS_WITHOUT:
                visits.discard(visit_id)
                del self._without[visit_id]

    def concerns(self, visit_id: str) -> bool:
        """Tell whether the plate of this visit was seen in another one too."""
        return any(visit_id in visits for visits in self._doubled.values())
