"""Chinese licence plates: the GA 36-2018 grammar and normalisation.

Two plates are the same when their normalised texts are equal, and by no other rule:
fuzzy matching would one day confirm a stranger's order.
"""

import re
from collections.abc import Mapping
from enum import StrEnum

PROVINCES = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新"
SPECIAL = "警学挂港澳使领"

# GA 36-2018: serials never use I or O; the authority letter may be O (legacy 粤O).
_PROVINCE = f"[{PROVINCES}]"
_AUTHORITY = "[A-HJ-Z]"
_SERIAL = "[A-HJ-NP-Z0-9]"
_ENERGY = "[DABCEFGHJK]"


class PlateKind(StrEnum):
    """What a plate is; several kinds share one grammar and differ in colour or size only."""

    SMALL_CAR = "small_car"
    LARGE_CAR = "large_car"
    TRAILER = "trailer"
    COACH = "coach"
    SMALL_NEW_ENERGY = "small_new_energy"
    LARGE_NEW_ENERGY = "large_new_energy"
    POLICE = "police"
    HK_MACAU = "hk_macau"
    EMBASSY = "embassy"
    CONSULATE = "consulate"
    MOTORCYCLE = "motorcycle"
    MILITARY = "military"
    ARMED_POLICE = "armed_police"


_ORDINARY = f"{_PROVINCE}{_AUTHORITY}{_SERIAL}{{5}}"

GRAMMAR: dict[PlateKind, re.Pattern[str]] = {
    kind: re.compile(pattern)
    for kind, pattern in {
        PlateKind.SMALL_CAR: _ORDINARY,
        PlateKind.LARGE_CAR: _ORDINARY,
        PlateKind.TRAILER: f"{_PROVINCE}{_AUTHORITY}{_SERIAL}{{4}}挂",
        PlateKind.COACH: f"{_PROVINCE}{_AUTHORITY}{_SERIAL}{{4}}学",
        PlateKind.SMALL_NEW_ENERGY: f"{_PROVINCE}{_AUTHORITY}{_ENERGY}{_SERIAL}[0-9]{{4}}",
        PlateKind.LARGE_NEW_ENERGY: f"{_PROVINCE}{_AUTHORITY}[0-9]{{5}}{_ENERGY}",
        PlateKind.POLICE: f"{_PROVINCE}{_AUTHORITY}[A-D0-9][0-9]{{3}}警",
        PlateKind.HK_MACAU: f"粤Z{_SERIAL}{{4}}[港澳]",
        PlateKind.EMBASSY: "使[0-9]{6}|[0-9]{6}使",
        PlateKind.CONSULATE: f"{_PROVINCE}[0-9]{{5}}领|{_PROVINCE}{_AUTHORITY}[0-9]{{4}}领",
        PlateKind.MOTORCYCLE: _ORDINARY,
        # Outside GA 36, hence loose; WJ is the armed police's.
        PlateKind.MILITARY: "(?!WJ)[A-Z]{2}[0-9]{5}",
        PlateKind.ARMED_POLICE: f"WJ{_PROVINCE}?[0-9]{{4}}[0-9TDSHBXJ]",
    }.items()
}

# GA 36-2018: in how many rows the plates of a kind are written, where it is not one.
_ROWS = {
    PlateKind.LARGE_CAR: (1, 2),
    PlateKind.TRAILER: (2,),
    PlateKind.POLICE: (1, 2),
    PlateKind.MOTORCYCLE: (2,),
    PlateKind.MILITARY: (1, 2),
    PlateKind.ARMED_POLICE: (1, 2),
}
# Two-row plates of lorries are 440 x 220 mm, those of motorcycles 220 x 140. Seen from the side a plate looks
# narrower, never wider: from this width / height on it is hardly a motorcycle's.
_WIDER_THAN_MOTORCYCLES = 1.77
_HARDLY = 0.02

_SEPARATORS = re.compile(r"[\s·•・.\-_]+")
HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}  # Ａ -> A, as phones type it


class PlateError(ValueError):
    """A text that no plate grammar allows; the message says where it goes wrong."""


def normalise(text: str) -> str:
    """Return the plate as compared: half-width, upper case, without dots, dashes and spaces."""
    return _SEPARATORS.sub("", text.translate(HALF_WIDTH).upper())


def kinds_of(text: str) -> tuple[PlateKind, ...]:
    """Return every kind whose grammar the normalised `text` fits, in the order of `PlateKind`."""
    return tuple(kind for kind, pattern in GRAMMAR.items() if pattern.fullmatch(text))


def likely_kinds(kinds: Mapping[PlateKind, float], *, rows: int, aspect: float) -> dict[PlateKind, float]:
    """Return the probabilities of kinds, given in how many `rows` a plate is written and its width / height.

    A reader sees each row in a window of one size: rows and proportions are lost to it. The sum stays.
    """
    likely = {kind: p for kind, p in kinds.items() if rows in _ROWS.get(kind, (1,))}
    if rows == 2 and aspect >= _WIDER_THAN_MOTORCYCLES and PlateKind.MOTORCYCLE in likely:
        likely[PlateKind.MOTORCYCLE] *= _HARDLY
    total = sum(likely.values())
    return {kind: p * sum(kinds.values()) / total for kind, p in likely.items()} if total > 0 else dict(kinds)


def parse_plate(text: str) -> str:
    """Return the normalised plate.

    Raises PlateError, with a remedy, when no kind of plate is written like this.
    """
    plate = normalise(text)
    if kinds_of(plate):
        return plate
    raise PlateError(_what_is_wrong(plate))


def differing_positions(left: str, right: str) -> tuple[int, ...] | None:
    """Return the positions where two normalised plates of one length differ, None for other lengths."""
    if len(left) != len(right):
        return None
    return tuple(i for i, (a, b) in enumerate(zip(left, right, strict=True)) if a != b)


def surely_another_car(left: str, right: str) -> bool:
    """Tell whether two reliable readings of one berth show two cars.

    One differing character is far likelier a misread than a neighbour in the register's numbers, and a
    false swap would end an honest driver's visit.
    """
    positions = differing_positions(left, right)
    return positions is None or len(positions) > 1


def _what_is_wrong(plate: str) -> str:
    if not plate:
        return "the plate is empty; enter it as written on the car, for example 京A12345"
    if not 7 <= len(plate) <= 8:
        return f"a plate has 7 characters (8 on new-energy cars), this one has {len(plate)}"
    if plate[0] in PROVINCES:
        if not re.match(_AUTHORITY, plate[1]) and not plate[1].isdigit():
            return f"the second character must be the authority letter, got {plate[1]!r}"
        for letter, digit in (("I", "1"), ("O", "0")):
            if letter in plate[2:]:
                return f"the letter {letter} is not used after the second character; is it the digit {digit}?"
        if len(plate) == 8:
            return "an 8-character plate is a new-energy plate: one of A-H, J, K comes third or last"
        return "after the authority letter come five letters or digits"
    return f"the first character must be a province such as 京, got {plate[0]!r}"
