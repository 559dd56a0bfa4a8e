"""`manifest.json` beside the models: what each file is, how its numbers are read, where thresholds lie."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.box.data_files import folders
from edged.domain.plate import PlateKind
from edged.vision.errors import ManifestInvalid, ModelMissing

MANIFEST_NAME = "manifest.json"
_COPY_AGAIN = "copy it again from the release"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One model and the hash that its bytes must have."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """A window's `dark` and `bright` shares of pixels are brought to grey levels `to`, at `largest_gain`."""

    dark: float
    bright: float
    to: tuple[float, float]
    largest_gain: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How a plate is cut for the reader; shares are parts of the plate's (or window's) width and height.

    A two-row plate is cut in two, `upper` and `lower` (left, top, right, bottom), laid side by side; the
    upper row takes `upper_width_px` of the window. A cut-out narrower than `two_rows_below` times its height
    may hold two rows.
    """

    margin_x: float
    margin_y: float
    fine: int
    upper: tuple[float, float, float, float]
    lower: tuple[float, float, float, float]
    upper_width_px: int
    two_rows_below: float
    levels: Levels


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSpec:
    """`score_from`: heat (0-1) from which a cell is a candidate."""

    model: ModelFile
    score_from: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinerSpec:
    """The plate fills the middle of the refiner's patch, margins being parts of the patch.

    `plate_from`: probability from which a candidate is a plate at all.
    """

    model: ModelFile
    margin_x: float
    margin_y: float
    plate_from: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderSpec:
    """`labels` of a slot ("" = nothing there) and `kinds`, in the outputs' order.

    `temperature` calibrates the slots; a weakest slot of `accept_from` makes a reading reliable.
    """

    model: ModelFile
    labels: tuple[str, ...]
    kinds: tuple[PlateKind, ...]
    temperature: float
    accept_from: float
    framing: Framing


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Models of one release. What `quick_reader` reads reliably, `reader` is not asked."""

    version: str
    detector: DetectorSpec
    refiner: RefinerSpec
    quick_reader: ReaderSpec
    reader: ReaderSpec


def find_models(configured: Path | None = None) -> Path:
    """Return the folder of models: the configured one, /etc/edged, installed data, checkout, in this order.

    Raises ModelMissing; a configured folder without a manifest is an error, not a reason to look on.
    """
    places = [configured] if configured is not None else folders("models")
    for place in places:
        if (place / MANIFEST_NAME).is_file():
            return place
    looked = ", ".join(str(place) for place in places)
    raise ModelMissing(looked, f"no {MANIFEST_NAME} there", "install the models or set model.directory")


def load_manifest(directory: Path) -> Manifest:
    """Read `directory`/manifest.json.

    Raises ManifestInvalid naming the key that is missing or wrong.
    """
    path = directory / MANIFEST_NAME
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ManifestInvalid(str(path), exc.strerror or str(exc), _COPY_AGAIN) from exc
    except ValueError as exc:
        raise ManifestInvalid(str(path), f"not JSON: {exc}", _COPY_AGAIN) from exc
    try:
        return _manifest(raw, directory)
    except KeyError as exc:
        raise ManifestInvalid(str(path), f"{exc.args[0]} is missing", _COPY_AGAIN) from exc
    except (TypeError, ValueError) as exc:
        raise ManifestInvalid(str(path), str(exc), _COPY_AGAIN) from exc


def _manifest(raw: Mapping[str, Any], directory: Path) -> Manifest:
    detector, refiner, reader = raw["detector"], raw["refiner"], raw["reader"]
    return Manifest(
        version=str(raw["version"]),
        detector=DetectorSpec(model=_file(detector, directory), score_from=float(detector["score_from"])),
        refiner=RefinerSpec(
            model=_file(refiner, directory),
            margin_x=float(refiner["margin_x"]),
            margin_y=float(refiner["margin_y"]),
            plate_from=float(refiner["plate_from"]),
        ),
        # Both read the same windows in the same alphabet: it stands there once.
        quick_reader=_reader({**reader, **raw["quick_reader"]}, directory),
        reader=_reader(reader, directory),
    )


def _reader(entry: Mapping[str, Any], directory: Path) -> ReaderSpec:
    return ReaderSpec(
        model=_file(entry, directory),
        labels=tuple(str(label) for label in entry["labels"]),
        kinds=tuple(PlateKind(kind) for kind in entry["kinds"]),
        temperature=float(entry["temperature"]),
        accept_from=float(entry["accept_threshold"]),
        framing=_framing(entry["framing"]),
    )


def _framing(entry: Mapping[str, Any]) -> Framing:
    two_rows = entry["two_rows"]
    return Framing(
        margin_x=float(entry["margin_x"]),
        margin_y=float(entry["margin_y"]),
        fine=int(entry["fine"]),
        upper=_box(two_rows["upper"]),
        lower=_box(two_rows["lower"]),
        upper_width_px=int(two_rows["upper_width_px"]),
        two_rows_below=float(entry["try_two_rows_below_aspect"]),
        levels=_levels(entry["levels"]),
    )


def _file(entry: Mapping[str, Any], directory: Path) -> ModelFile:
    name = str(entry["file"])
    if Path(name).name != name:
        raise ValueError(f"file must be a name beside the manifest, got {name!r}")
    return ModelFile(path=directory / name, sha256=str(entry["sha256"]))


def _levels(entry: Mapping[str, Any]) -> Levels:
    (dark, bright), (low, high) = entry["shares"], entry["to"]
    return Levels(
        dark=float(dark),
        bright=float(bright),
        to=(float(low), float(high)),
        largest_gain=float(entry["largest_gain"]),
    )


def _box(values: Any) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(value) for value in values)
    return left, top, right, bottom
