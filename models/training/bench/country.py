"""Every validation set by itself, and all of them by province, kind and width, for the gate and the card."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from sets import Labelled, Outcome, heading, interval, labelled, line, read_crops, read_scenes

from edged.domain.plate import kinds_of
from edged.domain.reading import width_px
from edged.vision.pipeline import PlateVision

LABELS: Final = ("labels.csv", "labels_more.csv")
SHRUNK_PX: Final = (60, 48, 40)
WIDTH_EDGES_PX: Final = (0, 40, 60, 80, 120, 160, 240, 10_000)


def outcomes_by_set(vision: PlateVision, folder: Path) -> dict[str, list[Outcome]]:
    """Read every validation plate through the whole path: a set for each folder of each label file.

    The oldest cut-outs are read at three smaller widths too.
    """
    sets: dict[str, list[Outcome]] = {}
    for labels in LABELS:
        plates = labelled(folder, labels)
        for source in dict.fromkeys(Path(plate.file).parent.name for plate in plates):
            of_source = [plate for plate in plates if Path(plate.file).parent.name == source]
            name = source if source not in sets else f"{source}, more"
            cut = of_source[0].quad is None
            sets[name] = (
                read_crops(vision, folder, of_source) if cut else read_scenes(vision, folder, of_source)[0]
            )
    crops = [plate for plate in labelled(folder) if plate.quad is None]
    for px in SHRUNK_PX:
        sets[f"cut-outs at {px} px"] = read_crops(vision, folder, crops, px)
    return sets


def country(vision: PlateVision, folder: Path) -> dict[str, Any]:
    """Tables by set, province, kind and width; returns what the bench's last line carries."""
    sets = outcomes_by_set(vision, folder)
    _table("Every validation set", "set", sets)
    every = [o for name, outcomes in sets.items() if not name.startswith("cut-outs at") for o in outcomes]
    for title, column, of_outcome in (
        ("By province", "province", lambda o: o.truth.text[0]),
        ("By kind", "kind", _kind),
        ("By width, as found", "px", _width),
        ("By sharpness of its window", "sharpness", _sharpness),
    ):
        _table(title, column, _grouped(every, of_outcome))
    mistakes(every)
    return {
        "bench": "plates",
        "models": vision.manifest.version,
        "sets": {name: _counts(outcomes) for name, outcomes in sets.items()},
    }


def print_last_line(figures: dict[str, Any]) -> None:
    print(json.dumps(figures, ensure_ascii=False))


def mistakes(outcomes: Iterable[Outcome]) -> None:
    """Pairs of true and read character, and how many of them were accepted; lengths apart."""
    pairs: Counter[str] = Counter()
    believed: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.read is None or outcome.right:
            continue
        said = outcome.read.reading.text
        if len(said) != len(outcome.truth.text):
            found = ["another length"]
        else:
            found = [f"{a} as {b}" for a, b in zip(outcome.truth.text, said, strict=True) if a != b]
        pairs.update(found)
        if outcome.read.reading.accepted:
            believed.update(found)
    heading("Mistakes on all of them", "true as read", "count", "accepted")
    for pair, count in pairs.most_common(16):
        line(pair, count, believed[pair])


def _table(title: str, column: str, groups: dict[str, list[Outcome]]) -> None:
    heading(title, column, "n", "right", "found", "accepted", "right of accepted")
    for name, outcomes in groups.items():
        counts = _counts(outcomes)
        line(
            name,
            counts["n"],
            interval(counts["right"], counts["n"]),
            f"{counts['found'] / counts['n']:.1%}",
            f"{counts['accepted'] / counts['n']:.1%}",
            interval(counts["accepted_right"], counts["accepted"]),
        )


def _counts(outcomes: list[Outcome]) -> dict[str, int]:
    accepted = [o for o in outcomes if o.read is not None and o.read.reading.accepted]
    return {
        "n": len(outcomes),
        "right": sum(o.right for o in outcomes),
        "found": sum(o.read is not None for o in outcomes),
        "accepted": len(accepted),
        "accepted_right": sum(o.right for o in accepted),
    }


def _grouped(outcomes: list[Outcome], of_outcome: Callable[[Outcome], str]) -> dict[str, list[Outcome]]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(of_outcome(outcome), []).append(outcome)
    return dict(sorted(groups.items()))


def _kind(outcome: Outcome) -> str:
    truth: Labelled = outcome.truth
    kinds = kinds_of(truth.text)
    if len(kinds) == 1:
        return str(kinds[0])
    return f"ordinary, {truth.colour or 'colour not labelled'}"


def _width(outcome: Outcome) -> str:
    return "nothing found" if outcome.read is None else _span(width_px(outcome.read.corners), WIDTH_EDGES_PX)


def _sharpness(outcome: Outcome) -> str:
    edges = (0, 0.1, 0.2, 0.4, 0.8, 1.6, 10_000)
    return "nothing found" if outcome.read is None else _span(outcome.read.sharpness, edges)


def _span(value: float, edges: tuple[float, ...]) -> str:
    i = max(i for i, edge in enumerate(edges) if value >= edge)
    return f"{edges[i]:03}-{edges[i + 1]}" if i + 2 < len(edges) else f"{edges[i]:03} and more"
