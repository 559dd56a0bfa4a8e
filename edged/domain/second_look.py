"""What a further reading of a visit changes. An accepted plate stands until contradicted."""

from enum import StrEnum

from edged.domain.plate import surely_another_car
from edged.domain.reading import PlateReading


class Look(StrEnum):
    REPLACES = "replaces"  # the new reading is the visit's reading now
    CONFIRMS = "confirms"  # nothing new: the old one stays
    CONTRADICTS = "contradicts"  # both were believed, one character differs: neither may decide
    ANOTHER_CAR = "another_car"


def look(known: PlateReading | None, new: PlateReading | None) -> Look:
    """Return what `new` means for a visit whose reading so far is `known`; None: no plate was found."""
    if known is None:
        return Look.REPLACES
    if new is None or (known.accepted and not new.accepted):
        return Look.CONFIRMS
    if not known.accepted:
        return Look.REPLACES if new.accepted or new.confidence > known.confidence else Look.CONFIRMS
    if new.text == known.text:
        return Look.CONFIRMS
    return Look.ANOTHER_CAR if surely_another_car(known.text, new.text) else Look.CONTRADICTS
