"""A simulated town for `bench trust`: cars, a reader that errs, and drivers that err.

The reader's rates are assumptions, or measured ones of a file; errors are correlated over a burst, because
the same dirt and light are in each of its pictures. A file is JSON with counts under `measured`:

    {"measured": {"of": "held-out plates, bursts of five",
                  "readings": 161, "rejected": 23, "wrong_when_accepted": 0,
                  "second_looks": 40, "failed_again": 32,
                  "wrong_characters": 9, "doubted": 6,
                  "confusions": {"C0": 1, "KH": 1}}}

`readings` are of one burst each; of those `rejected` were not accepted and `wrong_when_accepted` were, and
wrong. `second_looks` are further bursts of plates whose first reading failed, `failed_again` those that
failed in the same way. Of `wrong_characters`, `doubted` ones had a confidence below `doubt_below`.
`confusions` are pairs of true and read character with how often. A rate is (k + 1/2) / (n + 1): nothing wrong
in 138 readings does not mean that nothing ever is. Pairs that a file leaves out stay as assumed.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cloud_endpoint.base.errors import ConfigError
from edged.domain.plate import PROVINCES

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
SERIAL = LETTERS + "0123456789"
# The pairs that the field reports (京N read as 京M, 京E as 京F, 8/B, D/0, 2/Z ...).
_PAIRS = ("NM", "EF", "8B", "D0", "2Z", "5S", "7T", "6G", "QD", "UV")
CONFUSED = {pair[i]: pair[1 - i] for pair in reversed(_PAIRS) for i in (0, 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How often a picture is not accepted, and how often an accepted reading is wrong all the same."""

    rejected: float = 0.10
    wrong_when_accepted: float = 0.005
    same_again: float = 0.8  # a second picture of the same visit fails in the same way
    doubts_when_wrong: float = 0.6  # the wrong character is among those it is not sure of
    confusions: dict[str, str] = field(default_factory=lambda: dict(CONFUSED))  # read for it, by how often


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """How drivers and sensors err."""

    reader: Reader = Reader()
    typing_error: float = 0.03
    wrong_berth: float = 0.02
    before_the_reading: float = 0.05
    missed_swap: float = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the reader makes of a picture."""

    plate: str
    characters: tuple[float, ...]
    accepted: bool


# Which two counts of a file make which rate.
_RATES = {
    "rejected": ("rejected", "readings"),
    "same_again": ("failed_again", "second_looks"),
    "doubts_when_wrong": ("doubted", "wrong_characters"),
}


def measured_reader(path: Path) -> Reader:
    """Return a reader with the rates of a file; raises ConfigError."""
    try:
        counts = json.loads(path.read_text(encoding="utf-8"))["measured"]
        rates: dict[str, Any] = {
            rate: _share(counts[of], counts[among])
            for rate, (of, among) in _RATES.items()
            if of in counts and among in counts
        }
        accepted = counts["readings"] - counts["rejected"]
        rates["wrong_when_accepted"] = _share(counts["wrong_when_accepted"], accepted)
        reader = replace(Reader(), **rates)
        if counts.get("confusions"):
            reader = replace(reader, confusions=_confusions(counts["confusions"]))
    except (OSError, ValueError, TypeError, KeyError) as exc:
        raise ConfigError(
            f"{path}: not a reader's counts, see cloud_endpoint/bench/town.py: {exc!r}"
        ) from exc
    return reader


def _share(count: int, among: int) -> float:
    if not 0 <= count <= among:
        raise ValueError(f"{count} of {among}")
    return (count + 0.5) / (among + 1)


def _confusions(counted: Mapping[str, Any]) -> dict[str, str]:
    confusions: dict[str, str] = {}
    for pair, times in counted.items():
        if len(pair) != 2:
            raise ValueError(f"confusions: {pair!r} is not a true character and what was read for it")
        confusions[pair[0]] = confusions.get(pair[0], "") + pair[1] * int(times)
    return confusions


def new_plate(rng: random.Random) -> str:
    """Return any small car's plate."""
    return rng.choice(PROVINCES) + rng.choice(LETTERS) + "".join(rng.choice(SERIAL) for _ in range(5))


def mistyped(plate: str, rng: random.Random) -> str:
    """Return the plate with one character of its serial changed."""
    at = rng.randrange(2, len(plate))
    return plate[:at] + rng.choice(SERIAL.replace(plate[at], "")) + plate[at + 1 :]


def read(plate: str, reader: Reader, rng: random.Random, before: Seen | None = None) -> Seen:
    """Return what the reader makes of one more picture of a visit."""
    if before is not None and rng.random() < reader.same_again:
        return before
    if rng.random() < reader.rejected:
        return Seen(plate=plate, characters=(0.8,) * len(plate), accepted=False)
    if rng.random() >= reader.wrong_when_accepted:
        return Seen(plate=plate, characters=(0.999,) * len(plate), accepted=True)
    confusable = [i for i in range(len(plate)) if plate[i] in reader.confusions]
    at = rng.choice(confusable or range(2, len(plate)))
    wrong = rng.choice(reader.confusions.get(plate[at]) or SERIAL.replace(plate[at], ""))
    sure = 0.98 if rng.random() < reader.doubts_when_wrong else 0.997
    characters = tuple(sure if i == at else 0.999 for i in range(len(plate)))
    return Seen(plate=plate[:at] + wrong + plate[at + 1 :], characters=characters, accepted=True)
