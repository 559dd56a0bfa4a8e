"""Which car comes next: invented ones from a seed, or the user's photographs in order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edged.demo.photographs import Photograph
from edged.domain.masking import mask
from edged.domain.plate import PROVINCES, PlateKind
from edged.picture import PictureError, decode_picture

_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_SERIAL = _LETTERS + "0123456789"
# What a Chinese street shows: mostly blue, many green, now and then a yellow one.
_KINDS = (PlateKind.SMALL_CAR, PlateKind.SMALL_NEW_ENERGY, PlateKind.SMALL_CAR, PlateKind.COACH)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCar:
    """One car; `plate` None: a photograph that nobody labelled. A real person's plate is shown masked."""

    plate: str | None
    photo: Path | None = None

    def __str__(self) -> str:
        if self.photo is None:
            return str(self.plate)
        return self.photo.name.encode("utf-8", "backslashreplace").decode()  # a name need not be UTF-8

    def shown(self, plate: str | None) -> str:
        """Return a plate as the timeline may show it."""
        if plate is None:
            return "no plate"
        return plate if self.photo is None else mask(plate)

    def on_stage(self, berth_no: str) -> dict[str, str]:
        """Return the camera's command that shows this car."""
        look = {"photo": str(self.photo)} if self.photo else {"plate": self.plate or ""}
        return {"do": "arrive", "berth_no": berth_no, **look}


def invented_cars(seed: int) -> Iterator[DemoCar]:
    """Yield cars for ever; plates are random, and nobody's on purpose."""
    rng = np.random.default_rng(seed)
    while True:
        for kind in _KINDS:
            yield DemoCar(plate=_plate(kind, rng))


def photographed_cars(
    photographs: list[Photograph], left_out: Callable[[str], object] = lambda _why: None
) -> Iterator[DemoCar]:
    """Yield each photograph once; `left_out` is told which cannot be shown, and why."""
    for photograph in photographs:
        car = DemoCar(plate=photograph.plate, photo=photograph.path.resolve())
        try:
            decode_picture(photograph.path.read_bytes())
        except (OSError, PictureError) as exc:
            left_out(f"{car} is left out: {exc}")
        else:
            yield car


def one_character_wrong(plate: str, characters: list[float]) -> str:
    """Return `plate` mistyped in the digit or letter that was read most surely."""
    position = max(range(2, len(plate)), key=lambda i: (plate[i].isascii(), characters[i]))
    wrong = "0123456789" if plate[position].isdigit() else _LETTERS
    other = wrong[(wrong.index(plate[position]) + 3) % len(wrong)] if plate[position] in wrong else "A"
    return plate[:position] + other + plate[position + 1 :]


def _plate(kind: PlateKind, rng: np.random.Generator) -> str:
    def some(of: str, count: int) -> str:
        return "".join(of[int(i)] for i in rng.integers(len(of), size=count))

    head = some(PROVINCES, 1) + some(_LETTERS, 1)
    match kind:
        case PlateKind.SMALL_NEW_ENERGY:
            return head + some("DF", 1) + some(_SERIAL, 1) + some("0123456789", 4)
        case PlateKind.COACH:
            return head + some("0123456789", 4) + "学"
        case _:
            serial = some("0123456789", 5)
            at = int(rng.integers(5))
            return head + serial[:at] + some(_LETTERS, 1) + serial[at + 1 :]
