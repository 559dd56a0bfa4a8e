"""Train, export and measure the models: python models/training/train.py [MODEL ...]

Each step is a script of its own and goes on where it stopped. Without names: all of them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
# In this order: the refiner learns from the detector's mistakes, the quick reader from the reader.
KNOWN: Final = ("detector", "refiner", "reader", "quick_reader")


def steps(model: str, config: Path, runs: Path) -> list[list[str]]:
    """The command lines (without the interpreter) that make one model."""
    if model.endswith("reader"):
        return [
            [f"{step}_reader.py", "--config", str(config), "--name", model]
            for step in ("render", "train", "export", "evaluate")
        ]
    out = str(runs / model)
    train = [f"train_{model}.py", "--config", str(config), "--out", out]
    return [train, ["export_detector.py", f"--{model}", out]]


def main() -> int:
    """Run the steps in order; the first one that fails ends it with its status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(KNOWN)}")
    parser.add_argument("--config", type=Path, default=HERE / "config.toml", help="all settings")
    parser.add_argument(
        "--runs", type=Path, default=Path(".training"), help="checkpoints of detector and refiner"
    )
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.models) - set(KNOWN))
    if unknown:
        parser.error(f"unknown model {unknown[0]!r}: one of {', '.join(KNOWN)}")
    for model in arguments.models or KNOWN:
        for script, *options in steps(model, arguments.config, arguments.runs):
            print(f"== {script} {' '.join(options)}", flush=True)
            status = subprocess.run([sys.executable, str(HERE / script), *options], check=False).returncode
            if status:
                return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
