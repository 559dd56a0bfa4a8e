"""Choose from which confidence on a reading is accepted: python models/training/fit_acceptance.py [--write]

Runs the committed models through the pole's own path on hard pictures of held-out plates. The threshold is
fitted without one source or one province at a time, and what it does on the one left out is printed: so it
behaves in a street that nobody trained on. The middle one of the
thresholds without a source goes to models/manifest.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from hard_pictures import HardPicture, glyph_pictures, real_pictures

sys.path.append(str(Path(__file__).resolve().parents[2]))
from edged.domain.reading import PlateRead, decide
from edged.vision.detector import Refiner
from edged.vision.looks import Looks
from edged.vision.manifest import Manifest
from edged.vision.pipeline import PlateVision
from edged.vision.ranking import sureness
from edged.vision.reader import Reader

# Which share of those accepted on these pictures may be wrong. They are far harder than a pole's: a third of
# them is not accepted, where one in ten of a pole's is not.
WRONG: Final = {"quick_reader": 0.0005, "reader": 0.002}
TIMES: Final = 8
A_PROVINCE: Final = 20
FEWEST_PICTURES: Final = 100  # a smaller source hardly moves the threshold that is fitted without it

Reals = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What both readers made of one picture: confidence (0: never accepted), and whether it is right."""

    source: str
    province: str
    quick: float
    quick_right: bool
    careful: float
    careful_right: bool


class BothReaders(Looks):
    """Reads every window with both readers in full, whatever the thresholds say, and remembers it."""

    def __init__(self, manifest: Manifest, refiner: Refiner, quick_reader: Reader, reader: Reader) -> None:
        super().__init__(manifest, refiner, quick_reader, reader)
        self.seen: list[tuple[PlateRead, PlateRead]] = []

    def _read_cut(self, image: Any, cut: Any, plate: Any, rows: int, further: Any) -> PlateRead:
        open_minded = replace(self._manifest.quick_reader, accept_from=0.0)
        said = self._quick_reader.read(cut)
        quick = self._decided(said, said, plate, rows, 1.0, open_minded)
        spec = replace(self._manifest.reader, accept_from=0.0)
        first = self._decided(self._reader.read(cut), said, plate, rows, 1.0, spec)
        together = self._read_carefully(image, cut, said, 1.0, plate, rows, further)
        legal = decide(together.probabilities, labels=spec.labels, accept_from=0.0)
        # A first look that is sure enough is the last one: the surer of both is what is accepted.
        careful = max(first, replace(together, reading=legal), key=sureness)
        self.seen.append((quick, careful))
        return careful


def trials(folder: Path) -> list[Trial]:
    """Read the hard pictures; the careful reader accepts nothing here, so that every look is taken."""
    vision = PlateVision.load()
    manifest = vision.manifest
    manifest = replace(manifest, reader=replace(manifest.reader, accept_from=2.0))
    looks = BothReaders(manifest, vision._refiner, vision._quick_reader, vision._reader)
    vision._looks = looks
    found = []
    for pictures in (real_pictures(folder, TIMES), glyph_pictures(folder, A_PROVINCE)):
        for hard in pictures:
            looks.seen.clear()
            reads = [vision.read_crop(hard.picture)] if hard.whole else vision.read_frame(hard.picture)
            best = next(
                (read for read in reads if read.reading.text == hard.text), reads[0] if reads else None
            )
            for quick, careful in looks.seen:
                if best is not None and careful.reading.text == best.reading.text:
                    found.append(_trial(hard, quick, careful))
                    break
    return found


def _trial(hard: HardPicture, quick: PlateRead, careful: PlateRead) -> Trial:
    return Trial(
        source=hard.source,
        province=hard.text[0],
        quick=quick.reading.confidence if quick.reading.accepted else 0.0,
        quick_right=quick.reading.text == hard.text,
        careful=careful.reading.confidence if careful.reading.accepted else 0.0,
        careful_right=careful.reading.text == hard.text,
    )


def threshold(sure: Reals, right: Flags, wrong: float) -> float:
    """The lowest confidence from which on at most a share `wrong` of the readings are wrong."""
    order = np.argsort(-sure, kind="stable")
    ranked, shares = sure[order], np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero((shares <= wrong) & (ranked > 0.5))
    if not len(good):
        return 1.0
    last = int(good[-1])
    below = ranked[last + 1] if last + 1 < len(ranked) else 0.5
    return float((ranked[last] + max(below, 0.5)) / 2)


def left_out(
    found: list[Trial], name: str, group_of: Callable[[Trial], str], wrong: float
) -> list[tuple[str, float, int, int, int]]:
    """Per group: the threshold fitted without it, its pictures, those accepted, those accepted and wrong."""
    sure = np.asarray([getattr(trial, name) for trial in found])
    right = np.asarray([getattr(trial, f"{name}_right") for trial in found])
    groups = np.asarray([group_of(trial) for trial in found])
    rows = []
    for group in sorted(set(groups)):
        inside = groups == group
        at = threshold(sure[~inside], right[~inside], wrong)
        accepted = inside & (sure >= at)
        rows.append((str(group), at, int(inside.sum()), int(accepted.sum()), int((accepted & ~right).sum())))
    return rows


def main() -> None:
    """Print the tables; with --write put the middle thresholds into the manifest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("EDGED_TEST_DATA", "../shared")) / "plates"
    path = Path("models/manifest.json")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    found = trials(folder)
    for entry, name in (("quick_reader", "quick"), ("reader", "careful")):
        middle = 1.0
        for title, group_of in (("source", lambda t: t.source), ("province", lambda t: t.province)):
            rows = left_out(found, name, group_of, WRONG[entry])
            print(f"\n{entry}, fitted without one {title}\n")
            print(
                f"| {title} left out | threshold | n | accepted | wrong of accepted |\n|---|---|---|---|---|"
            )
            for group, at, count, accepted, wrong in rows:
                print(f"| {group} | {at:.4f} | {count} | {accepted / count:.1%} | {wrong} |")
            accepted, wrong = sum(row[3] for row in rows), sum(row[4] for row in rows)
            print(f"| all, pooled | | {len(found)} | {accepted / len(found):.1%} | {wrong} of {accepted} |")
            if title == "source":
                folds = sorted(row[1] for row in rows if row[2] >= FEWEST_PICTURES)
                middle = folds[len(folds) // 2]
        print(f"\n{entry}: accept from {middle:.4f}")
        manifest[entry]["accept_threshold"] = round(middle, 4)
    if arguments.write:
        path.write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
