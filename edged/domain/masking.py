"""Plates made unreadable: enough stays to find a record, too little to find a person."""

import re

from edged.domain.plate import HALF_WIDTH, PROVINCES, normalise

_GAP = r"[\s·•・.\-_]{0,3}"  # how people separate the characters of a plate
_SERIAL = f"(?:{_GAP}[A-Z0-9])"
_DIGIT = f"(?:{_GAP}[0-9])"
_ENERGY = f"(?:{_GAP}[A-HJK])"
# Eight characters with a gap before the last one: only where the last one does not begin a word.
_EIGHT = f"(?:{_ENERGY}{_SERIAL}{_DIGIT}{{4}}|{_DIGIT}{{5}}{_ENERGY})(?![A-Z0-9])"
# Without a Chinese character. Gaps elsewhere, or a longer word around it, would mask addresses and ids.
# "in 12345 ms" is masked all the same: a number lost in a log harms less than a plate shown.
_LATIN = rf"(?<![A-Z0-9])[A-Z]{{2}}{_GAP}[0-9]{{4}}[0-9TDSHBXJ](?![A-Z0-9])"
_LOOKS_LIKE_A_LATIN_PLATE = re.compile(_LATIN, re.IGNORECASE)
# Wider than the grammar: a plate with a character too few, or with an O for a 0, is somebody's plate too.
_LOOKS_LIKE_A_PLATE = re.compile(
    "|".join(
        (
            f"W{_GAP}J{_GAP}[{PROVINCES}]{_DIGIT}{{4}}{_SERIAL}",
            f"[{PROVINCES}]{_DIGIT}{{5}}{_GAP}领",
            f"[{PROVINCES}]{_GAP}[A-Z](?:{_EIGHT}|{_SERIAL}{{4,5}}[A-Z0-9]?)(?:{_GAP}[警学挂港澳领])?",
            f"使{_DIGIT}{{6}}",
            f"[0-9]{_DIGIT}{{5}}{_GAP}使",
            _LATIN,
        )
    ),
    re.IGNORECASE,
)


def mask(plate: str) -> str:
    """Return `京A·**345` for 京A12345."""
    plate = normalise(plate)
    if len(plate) < 6:
        return "*" * len(plate)
    return f"{plate[:2]}·{'*' * (len(plate) - 5)}{plate[-3:]}"


def mask_in(text: str) -> str:
    """Return `text` with everything in it that looks like a plate masked, however it is written."""
    if text.isascii():  # nearly every line of a log: 2 us instead of 27
        return _LOOKS_LIKE_A_LATIN_PLATE.sub(lambda found: mask(found.group()), text)
    folded = text.translate(HALF_WIDTH)  # one character for one, so that places in both are the same
    parts, at = [], 0
    for found in _LOOKS_LIKE_A_PLATE.finditer(folded):
        parts += [text[at : found.start()], mask(found.group())]
        at = found.end()
    return "".join([*parts, text[at:]])
