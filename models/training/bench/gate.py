"""Refuse models that read any validation set worse than the committed ones, beyond chance.

    python models/training/bench/gate.py [--models models] [--against REVISION]

Both read the same pictures, so only plates that one of them misread count: fewer than one in twenty coin
tosses would give as many losses (sign test). Exit status 1 names the sets.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from country import outcomes_by_set
from sets import Outcome, heading, line

from edged.vision.pipeline import PlateVision

CHANCE: Final = 0.05


def probability_of(losses: int, gains: int) -> float:
    """How likely as many losses or more are, if each differing plate were a coin toss."""
    n = losses + gains
    return sum(math.comb(n, k) for k in range(losses, n + 1)) / 2**n


def compared(old: list[Outcome], new: list[Outcome]) -> tuple[int, int]:
    """Plates that only the old models read rightly, and those that only the new ones do."""
    pairs = [(a.right, b.right) for a, b in zip(old, new, strict=True)]
    return sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)


def wrongly_accepted(outcomes: list[Outcome]) -> int:
    return sum(o.read is not None and o.read.reading.accepted and not o.right for o in outcomes)


def committed(revision: str, folder: Path) -> Path:
    """Write the models of a git revision to `folder`; returns where they are."""
    archive = subprocess.run(["git", "archive", revision, "models"], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder / "models"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--against", default="HEAD", help="the git revision whose models are the measure")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("EDGED_TEST_DATA", "../shared")) / "plates"
    with tempfile.TemporaryDirectory() as place:
        old = outcomes_by_set(PlateVision.load(committed(arguments.against, Path(place))), folder)
    new = outcomes_by_set(PlateVision.load(arguments.models), folder)
    heading(
        "The new models beside the committed ones",
        "set", "n", "right before", "right now", "lost", "gained", "wrong when accepted before", "now",
    )  # fmt: skip
    worse = []
    for name, before in old.items():
        after = new[name]
        lost, gained = compared(before, after)
        line(
            name, len(before), sum(o.right for o in before), sum(o.right for o in after), lost, gained,
            wrongly_accepted(before), wrongly_accepted(after),
        )  # fmt: skip
        if lost > gained and probability_of(lost, gained) < CHANCE:
            worse.append(name)
    if worse:
        print(f"\nworse beyond chance on: {', '.join(worse)}; keep the committed models")
        return 1
    print("\nno set is worse beyond chance")
    return 0


if __name__ == "__main__":
    sys.exit(main())
