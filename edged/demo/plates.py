"""Flat GA 36-2018 plates for the demo's cars: colours, layouts and wear (geometry: millimetres)."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.domain.plate import PlateKind, kinds_of
from edged.picture import Image
from edged.picture.plate_face import draw_character

PX_PER_MM = 2

_Colour = tuple[float, float, float]  # BGR, 0-255

_WHITE, _BLACK, _RED = (240.0, 240.0, 240.0), (25.0, 22.0, 22.0), (40.0, 35.0, 190.0)
_BLUE, _YELLOW = (150.0, 62.0, 12.0), (22.0, 172.0, 238.0)
_GREEN_TOP, _GREEN_BOTTOM = (222.0, 232.0, 214.0), (96.0, 178.0, 62.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    width_mm: int
    height_mm: int
    ground: _Colour
    ink: _Colour
    red: str = ""  # characters printed in red


_LOOKS: dict[PlateKind, _Look] = {
    PlateKind.SMALL_CAR: _Look(width_mm=440, height_mm=140, ground=_BLUE, ink=_WHITE),
    PlateKind.LARGE_CAR: _Look(width_mm=440, height_mm=140, ground=_YELLOW, ink=_BLACK),
    PlateKind.TRAILER: _Look(width_mm=440, height_mm=220, ground=_YELLOW, ink=_BLACK),
    PlateKind.COACH: _Look(width_mm=440, height_mm=140, ground=_YELLOW, ink=_BLACK),
    PlateKind.SMALL_NEW_ENERGY: _Look(width_mm=480, height_mm=140, ground=_GREEN_BOTTOM, ink=_BLACK),
    PlateKind.LARGE_NEW_ENERGY: _Look(width_mm=480, height_mm=140, ground=_GREEN_BOTTOM, ink=_BLACK),
    PlateKind.POLICE: _Look(width_mm=440, height_mm=140, ground=_WHITE, ink=_BLACK, red="警"),
    PlateKind.HK_MACAU: _Look(width_mm=440, height_mm=140, ground=_BLACK, ink=_WHITE),
    PlateKind.EMBASSY: _Look(width_mm=440, height_mm=140, ground=_BLACK, ink=_WHITE),
    PlateKind.CONSULATE: _Look(width_mm=440, height_mm=140, ground=_BLACK, ink=_WHITE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatPlate:
    """A plate as it comes from the press; `image` is PX_PER_MM fine."""

    image: Image
    width_m: float
    height_m: float


def usual_kind(text: str) -> PlateKind:
    """Return the kind that most cars with such a plate have; ValueError when none is drawn."""
    for kind in kinds_of(text):
        if kind in _LOOKS:
            return kind
    raise ValueError(f"the demo draws no plate like {text!r}; use one such as 京A12345 or 京AD12345")


def draw_plate(text: str, kind: PlateKind, rng: np.random.Generator) -> FlatPlate:
    """Return the plate of that kind with a little wear."""
    look = _LOOKS[kind]
    size = (look.height_mm * PX_PER_MM, look.width_mm * PX_PER_MM)
    canvas = _ground(kind, look, size)
    ink = np.zeros((*size, 1), np.float32)
    red = np.zeros((*size, 1), np.float32)
    for character, (left, top, width, height) in zip(text, _boxes(text, look), strict=True):
        cover = draw_character(
            character, width_px=round(width * PX_PER_MM), height_px=round(height * PX_PER_MM)
        )
        y, x = round(top * PX_PER_MM), round(left * PX_PER_MM)
        layer = red if character in look.red else ink
        layer[y : y + cover.shape[0], x : x + cover.shape[1], 0] = cover
    if look.height_mm == 140 and kind not in (PlateKind.SMALL_NEW_ENERGY, PlateKind.LARGE_NEW_ENERGY):
        _dot(ink, look)
    _rim(ink, look)
    canvas = canvas * (1 - ink) + np.array(look.ink, np.float32) * ink
    canvas = canvas * (1 - red) + np.array(_RED, np.float32) * red
    canvas = _worn(canvas, rng)
    image = np.clip(canvas, 0, 255).astype(np.uint8)
    return FlatPlate(image=image, width_m=look.width_mm / 1000, height_m=look.height_mm / 1000)


def _ground(kind: PlateKind, look: _Look, size: tuple[int, int]) -> NDArray[np.float32]:
    canvas = np.empty((*size, 3), np.float32)
    canvas[:] = look.ground
    if kind is PlateKind.SMALL_NEW_ENERGY:
        fade = np.linspace(0, 1, size[0], dtype=np.float32)[:, None, None] ** 0.8
        canvas[:] = np.array(_GREEN_TOP, np.float32) * (1 - fade) + np.array(_GREEN_BOTTOM, np.float32) * fade
    if kind is PlateKind.LARGE_NEW_ENERGY:
        canvas[:, : round(120 * PX_PER_MM)] = _YELLOW
    return canvas


def _boxes(text: str, look: _Look) -> list[tuple[float, float, float, float]]:
    """Return (left, top, width, height) per character, in mm."""
    if look.height_mm == 220:
        top = [(110.0, 15.0, 80.0, 60.0), (250.0, 15.0, 80.0, 60.0)]
        return top + [(27.5 + 80 * i, 90.0, 65.0, 110.0) for i in range(len(text) - 2)]
    if len(text) == 8:
        left, boxes = 15.5, []
        for index in range(8):
            width = 45.0 if index == 0 else 43.0
            boxes.append((left, 25.0, width, 90.0))
            left += width + (49.0 if index == 1 else 9.0)
        return boxes
    return [(15.5 + 57 * i + (22 if i >= 2 else 0), 25.0, 45.0, 90.0) for i in range(len(text))]


def _dot(ink: NDArray[np.float32], look: _Look) -> None:
    centre = (round(134.5 * PX_PER_MM), round(look.height_mm / 2 * PX_PER_MM))
    layer = np.ascontiguousarray(ink[:, :, 0])
    cv2.circle(layer, centre, 5 * PX_PER_MM, 1.0, -1, cv2.LINE_AA)
    ink[:, :, 0] = layer


def _rim(ink: NDArray[np.float32], look: _Look) -> None:
    """The embossed line around the plate, as one colour with the characters."""
    layer = np.ascontiguousarray(ink[:, :, 0])
    inset = 4 * PX_PER_MM
    height, width = layer.shape
    cv2.rectangle(layer, (inset, inset), (width - inset, height - inset), 0.85, 2 * PX_PER_MM, cv2.LINE_AA)
    ink[:, :, 0] = layer


def _worn(canvas: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Let dust and light vary over the plate."""
    coarse = rng.normal(0, 1, (4, 12)).astype(np.float32)
    veil = np.asarray(cv2.resize(coarse, canvas.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.float32)
    dusty = canvas * (1 + 0.035 * veil[..., None])
    dust = rng.uniform(0.0, 0.10)
    result: NDArray[np.float32] = (dusty * (1 - dust) + np.float32(150 * dust)).astype(np.float32)
    return result
