"""The user's own photographs, with the plates that a labels.csv beside them expects."""

import csv
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edged.demo.processes import DemoFailure
from edged.domain.plate import kinds_of, normalise

_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"))
_LEVELS_UP = 3  # ../shared/plates/labels.csv describes ../shared/plates/scenes/easypr


@dataclass(frozen=True, slots=True, kw_only=True)
class Photograph:
    """A picture of one car; `plate` is None when nobody wrote down what it is."""

    path: Path
    plate: str | None


def find_photographs(folder: Path) -> list[Photograph]:
    """Return the pictures of `folder` by name; those with several labelled plates are left out.

    Raises DemoFailure when there is nothing to show.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    except OSError as exc:
        raise DemoFailure(f"--photos {folder}: cannot be read ({exc.strerror})") from exc
    if not paths:
        raise DemoFailure(f"--photos {folder}: holds no picture ({', '.join(sorted(_SUFFIXES))})")
    labels = _labels(folder, paths)
    if labels is None:
        return [Photograph(path=path, plate=None) for path in paths]
    single = [(path, labels.get(path.resolve(), [])) for path in paths]
    found = [Photograph(path=path, plate=plates[0]) for path, plates in single if _orderable(plates)]
    if not found:
        raise DemoFailure(f"--photos {folder}: labels.csv names none of its pictures with just one plate")
    return found


def _orderable(plates: list[str]) -> bool:
    """One car, and a plate that a driver can order with."""
    return len(plates) == 1 and bool(kinds_of(plates[0]))


def _labels(folder: Path, pictures: list[Path]) -> dict[Path, list[str]] | None:
    """Return picture -> plates of the labels.csv beside them, or of one farther up that names some of them.

    None when there is none. Raises DemoFailure when the one beside them cannot be read.
    """
    here = folder.resolve()
    if (here / "labels.csv").is_file():
        return _read(here / "labels.csv")
    shown = {path.resolve() for path in pictures}
    for parent in here.parents[:_LEVELS_UP]:
        with suppress(DemoFailure):  # somebody else's labels are nobody's fault
            if (parent / "labels.csv").is_file() and shown & (labels := _read(parent / "labels.csv")).keys():
                return labels
    return None


def _read(path: Path) -> dict[Path, list[str]]:
    labels: dict[Path, list[str]] = {}
    for name, plate in _rows(path):
        if "\0" not in name:  # no file has such a name
            labels.setdefault((path.parent / name).resolve(), []).append(plate)
    return labels


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"file", "plate_text"} <= set(rows.fieldnames or ()):
                raise DemoFailure(f"{path}: needs the columns file and plate_text, has {rows.fieldnames}")
            for row in rows:
                yield row["file"] or "", normalise(row["plate_text"] or "")
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise DemoFailure(f"{path}: cannot be read ({exc})") from exc
