"""What a pole read, in the one form that events and snapshots share."""

from typing import Annotated, Self

from pydantic import Field

from edged.domain.plate import PlateKind
from edged.domain.reading import PlateReading
from edged.wire.base import Payload


class ReadingView(Payload):
    """A plate reading; `plate` is None when no plate was found.

    `characters` are calibrated confidences, one a character; `confidence` is that of the weakest slot. Only
    an `accepted` reading may decide an order.
    """

    plate: Annotated[str, Field(max_length=8)] | None
    plate_kind: PlateKind | None
    characters: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    confidence: Annotated[float, Field(ge=0, le=1)]
    accepted: bool

    @classmethod
    def of(cls, reading: PlateReading | None) -> Self:
        """Return the wire's form of a reading; None: no plate was found."""
        return cls(
            plate=reading.text if reading else None,
            plate_kind=reading.kind if reading else None,
            characters=reading.characters if reading else (),
            confidence=reading.confidence if reading else 0.0,
            accepted=reading.accepted if reading else False,
        )

    def reading(self) -> PlateReading | None:
        """Return the reading, None when no plate was found."""
        if self.plate is None or self.plate_kind is None:
            return None
        return PlateReading(
            text=self.plate,
            kind=self.plate_kind,
            characters=self.characters,
            confidence=self.confidence,
            accepted=self.accepted,
        )
