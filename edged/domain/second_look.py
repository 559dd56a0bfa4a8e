"""What a further reading of a visit changes. An accepted plate stands until contradicted."""

from enum import StrEnum
from typing import Protocol

from edged.domain.plate import surely_another_car


class Read(Protocol):
    """What is compared of a reading."""

    @property
    def plate(self) -> str | None: ...
    @property
    def accepted(self) -> bool: ...
    @property
    def confidence(self) -> float: ...


class Look(StrEnum):
    REPLACES = "replaces"  # the new reading is the visit's reading now
    CONFIRMS = "confirms"  # nothing new: the old one stays
    CONTRADICTS = "contradicts"  # both were believed, one character differs: neither may decide
    ANOTHER_CAR = "another_car"


def look(known: Read | None, new: Read) -> Look:
    """Return what `new` means for a visit whose reading so far is `known`."""
    if known is None or known.plate is None:
        return Look.REPLACES
    if new.plate is None or (known.accepted and not new.accepted):
        return Look.CONFIRMS
    if not known.accepted:
        return Look.REPLACES if new.accepted or new.confidence > known.confidence else Look.CONFIRMS
    if new.plate == known.plate:
        return Look.CONFIRMS
    return Look.ANOTHER_CAR if surely_another_car(known.plate, new.plate) else Look.CONTRADICTS
