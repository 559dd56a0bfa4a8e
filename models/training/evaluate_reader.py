"""Measure, calibrate and describe an exported reader: python models/training/evaluate_reader.py --name reader

Works on the .tflite file, so every figure is that of the int8 model. Writes the reader's part of
models/manifest.json and prints markdown tables for docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import framing
import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter
from plate_art import KINDS, load_glyphs
from reader_check import CheckSet, check_sets, text_of, worse_set
from reader_config import ReaderConfig, load_config
from reader_data import KIND_NAMES, LABELS, synthetic_sample
from reader_net import SHAPES

sys.path.append(str(Path(__file__).resolve().parents[2]))
from edged.domain.plate import kinds_of

Array = npt.NDArray[np.float32]
Z_95: Final = 1.96
# How right accepted readings of pictures filmed worse must be. The quick reader's are final: no second look.
RIGHT_OF_WORSE: Final = {"reader": 0.99, "quick_reader": 0.999}


class TfliteReader:
    """An exported reader on LiteRT, as on the pole: windows (N x 32 x 128 x 3 RGB) to float logits.

    Not on TensorFlow 2.21's own interpreter: its XNNPACK delegate multiplies int8 batches wrongly.
    """

    def __init__(self, model: bytes) -> None:
        self._interpreter = Interpreter(model_content=model, num_threads=1)
        self._interpreter.allocate_tensors()
        self.input = self._interpreter.get_input_details()[0]
        outputs = self._interpreter.get_output_details()
        self.outputs = {("slots" if out["shape"][0] == 8 else "kind"): out for out in outputs}

    def predicted(self, windows: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
        slots, kinds = [], []
        for window in windows:
            self._interpreter.set_tensor(self.input["index"], window[None])
            self._interpreter.invoke()
            slots.append(self._real("slots"))
            kinds.append(self._real("kind")[0])
        return np.stack(slots), np.stack(kinds)

    def _real(self, name: str) -> Array:
        out = self.outputs[name]
        scale, zero_point = out["quantization"]
        return np.asarray(
            (self._interpreter.get_tensor(out["index"]).astype(np.float32) - zero_point) * scale
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What the int8 reader said of one set: texts, kinds, each character's confidence at temperature 1."""

    name: str
    texts: list[str]
    said: list[str]
    kinds: list[str]
    said_kinds: list[str]
    logits: Array

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        return np.asarray([a == b for a, b in zip(self.said, self.texts, strict=True)])

    def confidences(self, temperature: float) -> Array:
        """N x 8: the share of the label said, per slot, blanks included."""
        scaled = self.logits / temperature
        scaled = np.exp(scaled - scaled.max(axis=2, keepdims=True))
        return np.asarray(scaled.max(axis=2) / scaled.sum(axis=2))


def read_set(reader: TfliteReader, check: CheckSet) -> Read:
    """Run one set through the int8 reader; the kind is the likeliest that the text's grammar allows."""
    slot_logits, kind_logits = reader.predicted(check.windows)
    said = [text_of(slots) for slots in slot_logits.argmax(axis=2)]
    kinds = [kind_of(text, logits) for text, logits in zip(said, kind_logits, strict=True)]
    return Read(
        name=check.name, texts=check.texts, said=said, kinds=check.kinds, said_kinds=kinds, logits=slot_logits
    )


def kind_of(text: str, logits: Array) -> str:
    """The likeliest kind among those that the text can be, or of all when it is no plate's text."""
    allowed = [str(kind) for kind in kinds_of(text)] or list(KIND_NAMES)
    return max(allowed, key=lambda kind: float(logits[KIND_NAMES.index(kind)]))


def synthetic_sets(config: ReaderConfig, per_kind: int) -> list[CheckSet]:
    """Unseen synthetic plates of each kind, as degraded as in training, from a seed of their own."""
    rng = np.random.default_rng([config.seed, 999_983])
    glyphs = load_glyphs(config.plates / "glyphs")
    sets = []
    for kind in KINDS:
        samples = [synthetic_sample(glyphs, rng, kind=kind, mistaken_share=0.0) for _ in range(per_kind)]
        windows = np.stack([framing.levelled(sample.window)[:, :, ::-1] for sample in samples])
        texts = [sample.text for sample in samples]
        sets.append(CheckSet(name=f"synthetic {kind}", windows=windows, texts=texts, kinds=[kind] * per_kind))
    return sets


def interval(right: int, count: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share."""
    share, z2 = right / count, Z_95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    reach = Z_95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def fitted_temperature(reads: list[Read]) -> float:
    """The temperature at which confidence explains right and wrong slots best (least log loss)."""
    best = min(np.geomspace(0.4, 4.0, 60), key=lambda t: _log_loss(reads, float(t)))
    return round(float(best), 3)


def _log_loss(reads: list[Read], temperature: float) -> float:
    losses = []
    for read in reads:
        sure = np.clip(read.confidences(temperature), 1e-6, 1 - 1e-6)
        right = slot_right(read)
        losses.append(-np.where(right, np.log(sure), np.log(1 - sure)).ravel())
    return float(np.concatenate(losses).mean())


def slot_right(read: Read) -> npt.NDArray[np.bool_]:
    """N x 8: whether each slot's label is the true one."""
    truth = np.asarray(
        [[LABELS.index(c) for c in text] + [len(LABELS) - 1] * (8 - len(text)) for text in read.texts]
    )
    return np.asarray(read.logits.argmax(axis=2) == truth)


def calibration_error(reads: list[Read], temperature: float, bins: int = 15) -> float:
    """Expected calibration error of characters (occupied slots), in equal-width bins."""
    sure = np.concatenate([read.confidences(temperature)[:, :7].ravel() for read in reads])
    right = np.concatenate([slot_right(read)[:, :7].ravel() for read in reads])
    index = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [abs(sure[index == b].mean() - right[index == b].mean()) * (index == b).mean() for b in set(index)]
    return float(sum(gaps))


def chosen_threshold(reads: list[Read], temperature: float, *, wanted: float) -> float:
    """The lowest weakest-slot confidence from which on `wanted` of the legal plates are right."""
    weakest = np.concatenate([read.confidences(temperature).min(axis=1) for read in reads])
    right = np.concatenate([read.right for read in reads])
    legal = np.concatenate([[bool(kinds_of(text)) for text in read.said] for read in reads])
    order = np.argsort(-weakest[legal])
    shares = np.cumsum(right[legal][order]) / np.arange(1, legal.sum() + 1)
    good = np.flatnonzero(shares >= wanted)
    if not len(good):
        return 1.0
    # Not on a plate's own confidence: half way to the first one left out.
    last = int(good[-1])
    ranked = weakest[legal][order]
    below = ranked[last + 1] if last + 1 < len(ranked) else 0.5
    return round(float((ranked[last] + max(below, 0.5)) / 2), 4)


def table(reads: list[Read], temperature: float, threshold: float) -> tuple[str, list[dict[str, Any]]]:
    """A markdown table and its rows: plates right with 95% interval, kinds right, accepted ones right."""
    lines = [
        "| set | n | plate right | 95% interval | kind right | accepted | right of accepted |",
        "|---|---|---|---|---|---|---|",
    ]
    rows: list[dict[str, Any]] = []
    for read in reads:
        count, right = len(read.texts), int(read.right.sum())
        low, high = interval(right, count)
        legal = np.asarray([bool(kinds_of(text)) for text in read.said])
        accepted = (read.confidences(temperature).min(axis=1) >= threshold) & legal
        kind = float(np.mean([a == b for a, b in zip(read.said_kinds, read.kinds, strict=True)]))
        precise = float(read.right[accepted].mean()) if accepted.any() else float("nan")
        lines.append(
            f"| {read.name} | {count} | {right / count:.1%} | {low:.1%}-{high:.1%} | {kind:.1%} |"
            f" {accepted.mean():.1%} | {precise:.1%} |"
        )
        rows.append(
            {
                "set": read.name,
                "n": count,
                "right": round(right / count, 4),
                "interval_95": [round(low, 4), round(high, 4)],
            }
        )
    return "\n".join(lines), rows


def own_part(
    path: Path, reader: TfliteReader, temperature: float, threshold: float, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """What the pole must know of this file alone."""
    model = path.read_bytes()

    def tensor(details: Any) -> dict[str, Any]:
        scale, zero_point = details["quantization"]
        shape = [int(side) for side in details["shape"]]
        return {
            "shape": shape,
            "dtype": details["dtype"].__name__,
            "scale": float(scale),
            "zero_point": int(zero_point),
        }

    return {
        "file": path.name,
        "sha256": hashlib.sha256(model).hexdigest(),
        "size_bytes": len(model),
        "input": {**tensor(reader.input), "layout": "NHWC", "colour": "RGB", "values": "raw bytes, 0-255"},
        # Told apart by shape: a runtime may list them in either order.
        "outputs": {name: tensor(details) for name, details in sorted(reader.outputs.items())},
        "temperature": temperature,
        "accept_threshold": threshold,
        "measured": rows,
    }


def common_part() -> dict[str, Any]:
    """What holds for both readers and stands with `reader`: the alphabet, and how windows are cut."""
    return {
        "labels": list(LABELS),
        "kinds": list(KIND_NAMES),
        "framing": {
            "margin_x": framing.MARGIN_X,
            "margin_y": framing.MARGIN_Y,
            "fine": framing.FINE,
            "two_rows": {
                "upper": framing.UPPER,
                "lower": framing.LOWER,
                "upper_width_px": framing.UPPER_WIDTH,
            },
            "try_two_rows_below_aspect": framing.TWO_ROW_ASPECT,
            "levels": {
                "shares": framing.LEVEL_SHARES,
                "to": framing.LEVELS,
                "largest_gain": framing.LARGEST_GAIN,
            },
        },
    }


def write_manifest(path: Path, name: str, part: dict[str, Any]) -> None:
    """Replace the entry `name` and leave every other one as it is."""
    manifest = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    manifest[name] = part
    path.write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Measure one reader, print tables and write the manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("models/training/config.toml"))
    parser.add_argument("--name", choices=sorted(SHAPES), default="reader")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--per-kind", type=int, default=150)
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.name)
    path = arguments.models / f"plate_{config.name}.tflite"
    reader = TfliteReader(path.read_bytes())
    real = [read_set(reader, check) for check in check_sets(config.plates)]
    temperature = fitted_temperature(real)
    # The labelled pictures are few and mostly easy: filmed worse, they have a say in what is sure enough.
    worse = read_set(reader, worse_set(config.plates))
    threshold = max(
        chosen_threshold(real, temperature, wanted=0.997),
        chosen_threshold([worse], temperature, wanted=RIGHT_OF_WORSE[config.name]),
    )
    synthetic = [read_set(reader, check) for check in synthetic_sets(config, arguments.per_kind)]
    text, rows = table([*real, worse, *synthetic], temperature, threshold)
    print(text)
    error = calibration_error(real, temperature)
    print(f"\ntemperature {temperature}, accept threshold {threshold}, calibration error {error:.3f}")
    part = own_part(path, reader, temperature, threshold, rows)
    if config.name == "reader":
        part |= common_part()
    write_manifest(arguments.models / "manifest.json", config.name, part)


if __name__ == "__main__":
    main()
