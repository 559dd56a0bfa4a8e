"""Flat pictures of Chinese plates: what may stand on one, and where (GA 36-2018).

Lengths are millimetres and pictures are drawn at one pixel a millimetre. Both glyph drawings are used
because each has its own stroke weight; real plates lie between the two. `KINDS` is the one table to edit
to add a kind; `PROVINCES` the one to add a province.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Rng = np.random.Generator

PROVINCES: Final = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新"
AUTHORITIES: Final = "ABCDEFGHJKLMNOPQRSTUVWXYZ"
SERIAL_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ"
DIGITS: Final = "0123456789"
ENERGY_LETTERS: Final = "DABCEFGHJK"
TWO_ROWS: Final = ("double", "small")  # layouts
# Letters that were read as digits (Q, D, U, C, G as 0; E as F; T as 1), or a digit as them.
_MISREAD: Final = "QQQDDUUUCGEFTABSZ"
ALPHABET: Final = PROVINCES + AUTHORITIES + DIGITS + "警学挂港澳使领"

_CHOICES: Final = {
    "p": PROVINCES,
    # O is hardly issued any more, and drawn as often as D it is read for D.
    "a": AUTHORITIES.replace("O", "") * 24 + "O",
    "l": SERIAL_LETTERS,
    "d": DIGITS,
    "e": ENERGY_LETTERS,
    "q": "ABCD" + DIGITS,
    "m": SERIAL_LETTERS.replace("W", ""),  # WJ would be the armed police's
    "t": DIGITS + "TDSHBXJ",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KindArt:
    """How a kind is drawn: `templates` of small-letter places (`_CHOICES`; `s` a serial), and the rest."""

    templates: tuple[str, ...]
    layouts: tuple[str, ...]
    colours: tuple[str, ...]
    share: float


KINDS: Final[dict[str, KindArt]] = {
    "small_car": KindArt(templates=("passsss",), layouts=("single",), colours=("blue",), share=0.26),
    "large_car": KindArt(
        templates=("passsss",), layouts=("single", "double", "double"), colours=("yellow",), share=0.16
    ),
    "trailer": KindArt(templates=("passss挂",), layouts=("double",), colours=("yellow",), share=0.05),
    "coach": KindArt(templates=("passss学",), layouts=("single",), colours=("yellow",), share=0.06),
    "small_new_energy": KindArt(templates=("paesdddd",), layouts=("long",), colours=("green",), share=0.17),
    "large_new_energy": KindArt(
        templates=("paddddde",), layouts=("long",), colours=("yellow_green",), share=0.065
    ),
    "police": KindArt(
        templates=("paqddd警",),
        layouts=("gap1",) * 6 + ("single",) * 3 + ("double",),
        colours=("white",),
        share=0.075,
    ),
    "hk_macau": KindArt(
        templates=("粤Zssss港", "粤Zssss澳"), layouts=("single",), colours=("black",), share=0.05
    ),
    "embassy": KindArt(
        templates=("使dddddd", "使dddddd", "dddddd使"),
        layouts=("gap4", "gap1", "gap3"),
        colours=("black",),
        share=0.035,
    ),
    "consulate": KindArt(
        templates=("pddddd领", "padddd领"),
        layouts=("gap1", "single", "gap4"),
        colours=("black",),
        share=0.03,
    ),
    "motorcycle": KindArt(templates=("passsss",), layouts=("small",), colours=("yellow", "blue"), share=0.03),
    "military": KindArt(templates=("mlddddd",), layouts=("single",), colours=("white_red2",), share=0.03),
    "armed_police": KindArt(
        templates=("WJpddddt", "WJddddt"), layouts=("wj",), colours=("white_red2",), share=0.02
    ),
}

# BGR of background and ink, as cameras see clean plates by day; `degrade` moves them about.
_COLOURS: Final = {
    "blue": ((168, 78, 20), (250, 250, 250)),
    "yellow": ((20, 178, 240), (25, 25, 25)),
    "green": ((120, 205, 110), (25, 25, 25)),
    "yellow_green": ((110, 190, 90), (25, 25, 25)),
    "white": ((240, 240, 240), (25, 25, 25)),
    "white_red2": ((240, 240, 240), (25, 25, 25)),
    "black": ((30, 28, 26), (245, 245, 245)),
}
_RED: Final = (40, 35, 205)

_KIND_NAMES: Final = tuple(KINDS)
_KIND_STEPS: Final = np.cumsum([art.share for art in KINDS.values()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """One plate to draw: its text, kind (a key of `KINDS`), number of rows, layout and colour names."""

    text: str
    kind: str
    rows: int
    colour: str
    layout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Where one character stands: its face (`single`, `green`, `upper`, `lower`) and box in mm."""

    face: str
    x: float
    y: float
    width: float
    height: float


def sample_plate(rng: Rng, kind: str | None = None, province: str | None = None) -> Plate:
    """A random plate, of `kind` and `province` when given, else by the table's shares, provinces alike."""
    if kind is None:
        kind = _KIND_NAMES[int(np.searchsorted(_KIND_STEPS, rng.random() * _KIND_STEPS[-1]))]
    art = KINDS[kind]
    layout = _pick(art.layouts, rng)
    rows = 2 if layout in TWO_ROWS else 1
    text = sample_text(_pick(art.templates, rng), rng)
    if province is not None:
        text = "".join(province if char in PROVINCES else char for char in text)
    return Plate(text=text, kind=kind, rows=rows, colour=_pick(art.colours, rng), layout=layout)


def _pick(options: tuple[str, ...], rng: Rng) -> str:
    return options[int(rng.integers(len(options)))]


def sample_text(template: str, rng: Rng) -> str:
    """Fill a template: `s` places take at most two letters on 4 plates of 5, as issued serials do.

    One plate in four draws its letters from those that were misread most, and on one in eight a character is
    repeated.
    """
    hard = rng.random() < 0.25
    places = [i for i, token in enumerate(template) if token == "s"]
    limit = 2 if rng.random() < 0.8 else len(places)
    letters = set(rng.permutation(places)[: int(rng.integers(0, limit + 1))].tolist()) if places else set()
    chosen = []
    for i, token in enumerate(template):
        serial = (_MISREAD if hard else SERIAL_LETTERS) if i in letters else DIGITS
        choices = serial if token == "s" else _CHOICES.get(token, token)
        chosen.append(choices[int(rng.integers(len(choices)))])
    if rng.random() < 0.125:
        _repeat(chosen, template, rng)
    return "".join(chosen)


def _repeat(chosen: list[str], template: str, rng: Rng) -> None:
    """Let one character stand two to five times in a row, where the template allows any."""
    free = [i for i, token in enumerate(template) if token in "sd"]
    length = int(rng.integers(2, 6))
    start = int(rng.integers(max(1, len(free) - length + 1)))
    run = [i for i in free[start : start + length] if template[i] == template[free[start]]]
    for i in run:
        chosen[i] = chosen[free[start]]


class CutGlyphs(Protocol):
    """Masks of real characters, one of many at random."""

    def __contains__(self, char: str) -> bool: ...
    def mask(self, char: str, width_px: int, height_px: int, rng: Rng) -> Picture: ...


class Glyphs:
    """Ink masks (uint8, 255 = ink) of both drawings, found by drawing, face and character.

    `real` are those cut from plates, where there are some.
    """

    def __init__(self, masks: dict[tuple[str, str, str], Picture]) -> None:
        self.masks = masks
        self.real: CutGlyphs | None = None
        self.real_only = False  # every character that there is a real one of

    def mask(self, drawing: str, face: str, char: str, width_px: int, height_px: int) -> Picture:
        """The glyph at that size; a drawing that lacks it borrows it from the other or from another face."""
        # No drawing holds an O: on real plates it is the zero's shape.
        wanted = "0" if char == "O" else char
        for key in self._fallbacks(drawing, face, wanted):
            if key in self.masks:
                return _scaled(self.masks, key, width_px, height_px)
        raise KeyError(f"no glyph for {char!r} in any drawing")

    @staticmethod
    def _fallbacks(drawing: str, face: str, char: str) -> list[tuple[str, str, str]]:
        drawings = (drawing, "b" if drawing == "a" else "a")
        faces = (face, "single", "lower", "upper")
        return [(d, f, char) for f in faces for d in drawings]


_SCALED: dict[tuple[int, str, str, str, int, int], Picture] = {}


def _scaled(
    masks: dict[tuple[str, str, str], Picture], key: tuple[str, str, str], width_px: int, height_px: int
) -> Picture:
    cached = _SCALED.get((id(masks), *key, width_px, height_px))
    if cached is None:
        cached = np.asarray(
            cv2.resize(masks[key], (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8
        )
        _SCALED[id(masks), *key, width_px, height_px] = cached
    return cached


def glyph_folder() -> Path:
    """The glyph pictures' folder, from EDGED_TEST_DATA (default `../shared`)."""
    return Path(os.environ.get("EDGED_TEST_DATA", "../shared")) / "plates" / "glyphs"


@lru_cache(maxsize=4)
def load_glyphs(folder: Path) -> Glyphs:
    """Read both drawings from `folder/a` and `folder/b`; FileNotFoundError when there are none."""
    masks: dict[tuple[str, str, str], Picture] = {}
    for path in sorted((folder / "a" / "font_model").glob("*.jpg")):
        prefix, *middle, char = path.stem.split("_")
        if prefix == "220":
            # Only letters come in both rows' shapes; digits and 挂 stand in the lower row only.
            faces = [middle[0].replace("up", "upper").replace("down", "lower")] if middle else []
            faces = faces or (["lower"] if char in DIGITS + "挂" else ["upper"])
        else:
            faces = ["green" if prefix == "green" else "single"]
        for face in faces:
            masks["a", face, char] = 255 - _read_grey(path)
    for sub, face in (
        ("yellow/top", "upper"),
        ("yellow/bottom", "lower"),
        ("green", "green"),
        ("white", "single"),
    ):
        for char, mask in _trimmed_folder(folder / "b" / sub).items():
            masks["b", face, char] = mask
    if not masks:
        raise FileNotFoundError(
            f"no glyph pictures in {folder}: set EDGED_TEST_DATA to the folder above plates/"
        )
    return Glyphs(masks)


def _read_grey(path: Path) -> Picture:
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise ValueError(f"{path}: not a picture")
    return np.asarray(picture, np.uint8)


def _trimmed_folder(folder: Path) -> dict[str, Picture]:
    """Alpha masks of a drawing-b folder, all cut by the box around the ink of all, so a 1 stays narrow."""
    masks: dict[str, Picture] = {}
    for path in sorted(folder.glob("*.png")):
        if path.stem == "翼":  # a misnamed second 冀
            continue
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
            raise ValueError(f"{path}: not a picture with transparency")
        masks[path.stem.upper()] = np.ascontiguousarray(picture[:, :, 3])
    if not masks:
        return masks
    ink = np.max(np.stack(list(masks.values())), axis=0) > 128
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return {char: np.ascontiguousarray(mask[box]) for char, mask in masks.items()}


def size_mm(layout: str) -> tuple[int, int]:
    """Width and height of a layout's plate."""
    return {"long": (480, 140), "double": (440, 220), "small": (220, 140)}.get(layout, (440, 140))


def cells(layout: str, length: int, rng: Rng) -> tuple[list[Cell], tuple[float, float] | None]:
    """Boxes of a layout's characters, and the centre of its dot when it has one."""
    if layout == "double":
        top = [Cell(face="upper", x=x, y=15, width=80, height=60) for x in (110, 250)]
        bottom = [Cell(face="lower", x=27.5 + 80 * i, y=90, width=65, height=110) for i in range(length - 2)]
        return top + bottom, (220, 45)
    if layout == "small":
        top = [Cell(face="upper", x=x, y=12, width=42, height=40) for x in (55, 123)]
        bottom = [Cell(face="lower", x=11 + 41 * i, y=60, width=34, height=66) for i in range(length - 2)]
        return top + bottom, (110, 32)
    if layout == "long":
        widths, gap, wide_gap, wide_after, face = [45.0] + [43.0] * (length - 1), 9.0, 49.0, 2, "green"
    elif layout == "wj" and length == 8:
        # The small province of an armed police plate stands raised, lowered or full size, by issue.
        small = float(rng.uniform(26, 42))
        widths, gap, wide_gap, wide_after, face = [45.0] * 2 + [small] + [45.0] * 5, 8.0, 22.0, 3, "single"
    else:
        after = int(layout[3:]) if layout.startswith("gap") else 2
        widths, gap, wide_gap, wide_after, face = [45.0] * length, 12.0, 34.0, after, "single"
    x = (size_mm(layout)[0] - sum(widths) - gap * (length - 2) - wide_gap) / 2
    boxes: list[Cell] = []
    dot = None
    for i, width in enumerate(widths):
        small_province = layout == "wj" and length == 8 and i == 2
        height = width * 2 if small_province else 90.0
        y = float(rng.uniform(25, 115 - height)) if small_province else 25.0
        boxes.append(Cell(face=face, x=x, y=y, width=width, height=height))
        x += width
        if i + 1 == wide_after:
            dot = (x + wide_gap / 2, 70.0)
            x += wide_gap
        else:
            x += gap
    return boxes, dot


def draw_plate(plate: Plate, rng: Rng, glyphs: Glyphs, px_per_mm: float = 1.0) -> Picture:
    """A flat, clean plate: BGR uint8 of `size_mm(plate.layout)` x `px_per_mm`, strokes varied."""
    scale = px_per_mm
    width, height = (round(side * scale) for side in size_mm(plate.layout))
    base, ink = (_jittered(colour, rng) for colour in _COLOURS[plate.colour])
    ground = _ground(plate.colour, base, width, height, rng)
    inks = np.empty((height, width, 3), np.uint8)
    inks[:] = ink
    mask = np.zeros((height, width), np.uint8)
    drawing = "a" if rng.random() < 0.5 else "b"
    boxes, dot = cells(plate.layout, len(plate.text), rng)
    red = _red_places(plate, rng)
    red_ink = _jittered(_RED, rng)
    sag = rng.normal(0, 0.6, len(plate.text))
    real = _real_places(plate, glyphs, rng)
    pasted = np.zeros_like(mask)
    for i, (char, cell) in enumerate(zip(plate.text, boxes, strict=True)):
        x, y = round(cell.x * scale), round((cell.y + sag[i]) * scale)
        w, h = round(cell.width * scale), round(cell.height * scale)
        if i in real and glyphs.real is not None:
            pasted[y : y + h, x : x + w] = glyphs.real.mask(char, w, h, rng)
        elif char == "3" and plate.colour == "white_red2" and rng.random() < 0.7:
            mask[y : y + h, x : x + w] = _round_three(w, h)
        else:
            glyph = glyphs.mask(drawing, cell.face, char, w, h)
            np.maximum(mask[y : y + h, x : x + w], glyph, out=mask[y : y + h, x : x + w])
        if i in red:
            inks[max(0, y - 2) : y + h + 2, max(0, x - 2) : x + w + 2] = red_ink
    if plate.layout == "long":
        _draw_energy_mark(ground, dot, scale, rng)
    elif dot is not None and rng.random() < 0.97:
        centre = (round(dot[0] * scale), round(dot[1] * scale))
        cv2.circle(mask, centre, round(rng.uniform(4, 6.5) * scale), 255, -1, cv2.LINE_AA)
    # Real characters bring their own stroke weight.
    mask = np.maximum(_weighted_strokes(mask, scale, rng), pasted)
    _draw_border(mask, scale, rng)
    weight = np.multiply(mask, np.float32(1 / 255), dtype=np.float32)
    flat = np.asarray(cv2.blendLinear(inks, ground, weight, 1 - weight), np.uint8)
    _draw_bolts(flat, scale, rng)
    return flat


def _real_places(plate: Plate, glyphs: Glyphs, rng: Rng) -> set[int]:
    """Which characters are real ones: all that exist, only the province, or none."""
    how = rng.random()
    if glyphs.real is None or (how > 0.65 and not glyphs.real_only) or plate.colour == "white_red2":
        return set()
    existing = {i for i, char in enumerate(plate.text) if char in glyphs.real}
    if glyphs.real_only:
        return existing
    places = {i for i in existing if rng.random() < 0.92}
    return places if how < 0.42 else {i for i in places if plate.text[i] in PROVINCES}


def _round_three(width_px: int, height_px: int) -> Picture:
    """The 3 of military plates: two bows, where civil ones have a flat top."""
    scale = 8
    mask = np.zeros((90 * scale, 45 * scale), np.uint8)
    for top, bottom in ((5.5, 43.0), (43.0, 84.5)):
        centre = (round(22 * scale), round((top + bottom) / 2 * scale))
        axes = (round(17 * scale), round((bottom - top) / 2 * scale))
        start, end = (-165, 90) if top < 40 else (-90, 165)
        cv2.ellipse(mask, centre, axes, 0, start, end, 255, 10 * scale)
    return np.asarray(cv2.resize(mask, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8)


def _jittered(colour: tuple[int, int, int], rng: Rng) -> tuple[int, int, int]:
    moved = np.clip(np.asarray(colour) * rng.uniform(0.85, 1.1) + rng.normal(0, 12, 3), 0, 255)
    return (int(moved[0]), int(moved[1]), int(moved[2]))


def _red_places(plate: Plate, rng: Rng) -> set[int]:
    if plate.kind in ("police", "consulate", "embassy"):
        # Some issues and many bleached plates have them in the ordinary ink.
        return {i for i, char in enumerate(plate.text) if char in "警领使"} if rng.random() < 0.8 else set()
    if plate.colour == "white_red2":
        return set(range(3 if plate.text.startswith("WJ") and len(plate.text) == 8 else 2))
    return set()


def _ground(colour: str, base: tuple[int, int, int], width: int, height: int, rng: Rng) -> Picture:
    ground = np.empty((height, width, 3), np.uint8)
    ground[:] = base
    if colour == "green":
        # Whitish at the top, full green at the foot.
        pale = np.asarray(_jittered((225, 240, 222), rng), np.float32)
        fade = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] ** np.float32(rng.uniform(0.6, 1.4))
        ground[:] = (pale * (1 - fade) + np.asarray(base, np.float32) * fade).astype(np.uint8)
    elif colour == "yellow_green":
        ground[:, : round(width * 0.28)] = _jittered((20, 178, 240), rng)
    return ground


def _weighted_strokes(mask: Picture, scale: float, rng: Rng) -> Picture:
    """Thicken or thin the strokes by up to about two millimetres, as pressing and repainting do."""
    soft = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.8, 2.0)) * scale + 0.2)
    gain, shift = float(rng.uniform(1.6, 4.0)), float(rng.normal(0, 25))
    table = np.clip((np.arange(256) - 128 + shift) * gain + 128, 0, 255).astype(np.uint8)
    table[0] = 0
    return np.asarray(cv2.LUT(soft, table), np.uint8)


def _draw_border(mask: Picture, scale: float, rng: Rng) -> None:
    if rng.random() < 0.12:
        return
    height, width = mask.shape
    inset = round(rng.uniform(2, 7) * scale)
    thickness = max(1, round(rng.uniform(1, 4) * scale))
    cv2.rectangle(mask, (inset, inset), (width - 1 - inset, height - 1 - inset), 255, thickness, cv2.LINE_AA)


def _draw_energy_mark(ground: Picture, dot: tuple[float, float] | None, scale: float, rng: Rng) -> None:
    if dot is None or rng.random() < 0.08:
        return
    centre, radius = (round(dot[0] * scale), round(dot[1] * scale)), round(rng.uniform(12, 17) * scale)
    cv2.circle(ground, centre, radius, _jittered((200, 200, 190), rng), -1, cv2.LINE_AA)
    cv2.ellipse(ground, centre, (radius, radius), 0, 90, 270, _jittered((190, 110, 60), rng), -1, cv2.LINE_AA)
    cv2.circle(ground, centre, radius, _jittered((90, 110, 90), rng), 1, cv2.LINE_AA)


def _draw_bolts(flat: Picture, scale: float, rng: Rng) -> None:
    """Screws or seal caps at the fixing holes: bare, white, dark or the plate's own colour."""
    height, width = flat.shape[:2]
    offset_px = width / 4
    for x in (offset_px, width - offset_px):
        for y in (12 * scale, height - 12 * scale):
            if rng.random() < 0.35:
                continue
            shade, dx, dy = int(rng.integers(20, 250)), *rng.uniform(-5, 5, 2)
            axes = (max(1, round(rng.uniform(4, 11) * scale)), max(1, round(rng.uniform(4, 7) * scale)))
            cv2.ellipse(
                flat, (round(x + dx * scale), round(y + dy * scale)), axes, 0, 0, 360, (shade,) * 3, -1
            )
