"""Whole plates right, by set, colour and width; confusions; whether confidences can be believed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Final

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from sets import Labelled, Outcome, heading, interval, labelled, line, read_crops, read_scenes

from edged.domain.plate import kinds_of
from edged.vision.pipeline import PlateVision

DOCS: Final = Path(__file__).resolve().parents[3] / "docs"
WIDTHS_PX: Final = (94, 72, 60, 48, 40, 32)
CONFIDENCE_EDGES: Final = (0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0001)

Reals = npt.NDArray[np.float64]


def accuracy(vision: PlateVision, folder: Path) -> None:
    """All tables of accuracy; the pictures go to docs/."""
    plates = labelled(folder)
    crops = [plate for plate in plates if plate.quad is None]
    scenes = [plate for plate in plates if plate.quad is not None]
    cut = read_crops(vision, folder, crops)
    found, strangers = read_scenes(vision, folder, scenes)
    heading(
        "Whole plates right (validation pictures)",
        "set",
        "n",
        "right",
        "found",
        "accepted",
        "right of accepted",
    )
    for name, outcomes in (("cut-outs", cut), ("scenes", found), *_by_kind(cut + found)):
        accepted = [o for o in outcomes if o.read is not None and o.read.reading.accepted]
        line(
            name,
            len(outcomes),
            interval(sum(o.right for o in outcomes), len(outcomes)),
            interval(sum(o.read is not None for o in outcomes), len(outcomes)),
            f"{len(accepted) / len(outcomes):.1%}",
            interval(sum(o.right for o in accepted), len(accepted)),
        )
    print(f"\nAccepted where no plate is labelled: {len(strangers)}.")
    widths(vision, folder, crops)
    confusions(cut + found)
    calibration(cut + found)
    coverage({"cut-outs": cut, "scenes": found})
    draw_curves(*characters(cut + found), {"cut-outs": cut, "scenes": found}, DOCS / "plates-curves.png")


def draw_curves(sure: Reals, right: Reals, sets: dict[str, list[Outcome]], path: Path) -> None:
    """The calibration plot and the coverage-precision curves, side by side."""
    figure, (plot, curves) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    bins = np.array_split(np.argsort(sure), 12)  # as many characters in each
    plot.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    plot.plot([sure[b].mean() for b in bins], [right[b].mean() for b in bins], "o-")
    plot.set(xlabel="confidence of a character", ylabel="share right", title="Calibration")
    for name, outcomes in sets.items():
        ranked = np.asarray([o.right for o in surest_first(outcomes)], float)
        share = np.arange(1, len(ranked) + 1) / len(outcomes)
        curves.plot(share, np.cumsum(ranked) / np.arange(1, len(ranked) + 1), label=name)
    curves.set(xlabel="coverage, surest first", ylabel="plates right", title="Coverage and precision")
    curves.set(ylim=(0.9, 1.003))
    curves.legend()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _by_kind(outcomes: list[Outcome]) -> Iterable[tuple[str, list[Outcome]]]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.truth.colour or "colour unknown", []).append(outcome)
    return sorted(groups.items())


def widths(vision: PlateVision, folder: Path, crops: list[Labelled]) -> None:
    heading("Cut-outs shrunk to a width", "plate width px", "n", "right")
    for width_px in WIDTHS_PX:
        outcomes = read_crops(vision, folder, crops, width_px)
        line(width_px, len(outcomes), interval(sum(o.right for o in outcomes), len(outcomes)))


def confusions(outcomes: list[Outcome]) -> None:
    pairs: Counter[str] = Counter()
    lengths = 0
    for outcome in outcomes:
        said = outcome.read.reading.text if outcome.read is not None else ""
        if len(said) != len(outcome.truth.text):
            lengths += 1
            continue
        pairs.update(f"{a} read as {b}" for a, b in zip(outcome.truth.text, said, strict=True) if a != b)
    heading("Confusions", "pair", "count")
    line("wrong length or nothing", lengths)
    for pair, count in pairs.most_common(12):
        line(pair, count)


def characters(outcomes: list[Outcome]) -> tuple[Reals, Reals]:
    """Confidence of each character read on plates of the right length, and 1.0 where it was right."""
    sure, right = [], []
    for outcome in outcomes:
        if outcome.read is None or len(outcome.read.reading.text) != len(outcome.truth.text):
            continue
        sure += list(outcome.read.reading.characters)
        right += [a == b for a, b in zip(outcome.read.reading.text, outcome.truth.text, strict=True)]
    return np.asarray(sure), np.asarray(right, float)


def calibration(outcomes: list[Outcome]) -> None:
    values, truth = characters(outcomes)
    heading("Calibration of characters", "confidence", "n", "mean confidence", "right")
    error = 0.0
    for low, high in pairwise(CONFIDENCE_EDGES):
        inside = (values >= low) & (values < high)
        if inside.any():
            error += abs(values[inside].mean() - truth[inside].mean()) * inside.mean()
            cells = (f"{values[inside].mean():.3f}", f"{truth[inside].mean():.3f}")
            line(f"{low}-{min(high, 1.0)}", inside.sum(), *cells)
    print(f"\nExpected calibration error: {error:.4f}.")


def surest_first(outcomes: list[Outcome]) -> list[Outcome]:
    """Those with a text that some grammar allows, by falling confidence."""
    legal = [o for o in outcomes if o.read is not None and kinds_of(o.read.reading.text)]
    return sorted(legal, key=lambda o: -o.read.reading.confidence)  # type: ignore[union-attr]


def coverage(sets: dict[str, list[Outcome]]) -> None:
    heading(
        "Right at a coverage, surest first (legal texts only)",
        "set",
        "70%",
        "80%",
        "90%",
        "92%",
        "95%",
        "100%",
    )
    for name, outcomes in sets.items():
        ranked = surest_first(outcomes)
        cells = []
        for share in (0.7, 0.8, 0.9, 0.92, 0.95, 1.0):
            top = ranked[: math.floor(share * len(outcomes))]
            cells.append(f"{sum(o.right for o in top) / max(1, len(top)):.1%}")
        line(name, *cells)
