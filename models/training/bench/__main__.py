"""Measure the committed models on real pictures that no training saw; prints tables for docs/benchmarks.md.

The last line is `{"bench": "plates", ...}` with the counts of every validation set.

    python models/training/bench [--only accuracy latency ...]

Pictures come from EDGED_TEST_DATA (default ../shared): those whose names begin with 0-3, and the street
pictures held back from training as pictures without plates.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from accuracy import accuracy
from conditions import burst, crowds, far, negatives
from country import country, print_last_line
from kinds import kinds
from rates import rates
from speed import latency, memory, runtimes
from unseen import unseen

from edged.vision.pipeline import PlateVision

SECTIONS: Final = {
    "memory": memory,
    "accuracy": accuracy,
    "burst": burst,
    "far": far,
    "crowds": crowds,
    "unseen": unseen,
    "kinds": kinds,
    "negatives": negatives,
    "rates": rates,
    "latency": latency,
    "runtimes": runtimes,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    arguments = parser.parse_args()
    folder = Path(os.environ.get("EDGED_TEST_DATA", "../shared")) / "plates"
    if not (folder / "labels.csv").is_file():
        print(f"no pictures in {folder}: set EDGED_TEST_DATA to the folder above plates/", file=sys.stderr)
        return 2
    vision = PlateVision.load()
    print(f"Models {vision.manifest.version}.")
    for name in arguments.only:
        SECTIONS[name](vision, folder)
    print_last_line(country(vision, folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
