"""The committed readers, as files: what the manifest says of them is true, and they read."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import cv2
import framing
import numpy as np
import pytest
from plate_art import KINDS, Glyphs, draw_plate, sample_plate
from reader_data import KIND_NAMES, LABELS, RealPlate, is_validation, load_real

from edged.domain import plate as domain

MODELS = Path(__file__).resolve().parents[2] / "models"
PLATES = Path(os.environ.get("EDGED_TEST_DATA", "../shared")) / "plates"


def manifest() -> dict[str, Any]:
    entries: dict[str, Any] = json.loads((MODELS / "manifest.json").read_text(encoding="utf-8"))
    return entries


def _interpreters() -> list[Any]:
    found = []
    try:
        from ai_edge_litert.interpreter import Interpreter

        found.append(Interpreter)
    except ImportError:
        pass
    try:
        from tflite_runtime.interpreter import Interpreter as Older

        found.append(Older)
    except ImportError:
        pass
    return found


class FileReader:
    """A reader's file on one runtime: a BGR window to slot probabilities and kind logits."""

    def __init__(self, name: str, interpreter_type: Any) -> None:
        self.name, self.entry = name, manifest()[name]
        path = MODELS / self.entry["file"]
        self.interpreter = interpreter_type(model_path=str(path), num_threads=1)
        self.interpreter.allocate_tensors()
        self.outputs = {
            ("slots" if out["shape"][0] == 8 else "kind"): out
            for out in self.interpreter.get_output_details()
        }

    def read(self, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        index = self.interpreter.get_input_details()[0]["index"]
        level = framing.levelled(window)
        self.interpreter.set_tensor(index, np.ascontiguousarray(level[None, :, :, ::-1]))
        self.interpreter.invoke()
        real = {}
        for name, out in self.outputs.items():
            scale, zero = out["quantization"]
            real[name] = (self.interpreter.get_tensor(out["index"]).astype(float) - zero) * scale
        powers = np.exp(real["slots"] / self.entry["temperature"])
        return powers / powers.sum(axis=1, keepdims=True), real["kind"][0]

    def text(self, window: np.ndarray) -> tuple[str, float]:
        slots, _ = self.read(window)
        return "".join(LABELS[i] for i in slots.argmax(axis=1)), float(slots.max(axis=1).min())


@pytest.fixture(scope="module", params=_interpreters(), ids=lambda kind: kind.__module__.split(".")[0])
def interpreter(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module", params=["reader", "quick_reader"])
def reader(request: pytest.FixtureRequest, interpreter: Any) -> FileReader:
    return FileReader(request.param, interpreter)


@pytest.mark.parametrize("name", ["reader", "quick_reader"])
def test_the_manifest_describes_the_files_beside_it(name: str) -> None:
    entry = manifest()[name]
    model = (MODELS / entry["file"]).read_bytes()
    assert entry["sha256"] == hashlib.sha256(model).hexdigest()
    assert entry["size_bytes"] == len(model) < 500_000
    assert 0.5 < entry["accept_threshold"] < 1


def test_the_manifest_names_what_training_taught() -> None:
    entry = manifest()["reader"]
    assert tuple(entry["labels"]) == LABELS
    assert tuple(entry["kinds"]) == KIND_NAMES
    assert set(KIND_NAMES) == {str(kind) for kind in domain.PlateKind}


def test_the_file_takes_bytes_and_gives_bytes_as_the_manifest_says(reader: FileReader) -> None:
    assert reader.interpreter.get_input_details()[0]["dtype"] is np.uint8
    assert reader.interpreter.get_input_details()[0]["shape"].tolist() == reader.entry["input"]["shape"]
    for name, out in reader.outputs.items():
        assert out["dtype"] is np.int8
        assert out["shape"].tolist() == reader.entry["outputs"][name]["shape"]
        assert out["quantization"][0] == pytest.approx(reader.entry["outputs"][name]["scale"])


def test_clean_plates_of_every_kind_are_read(reader: FileReader, glyphs: Glyphs) -> None:
    rng = np.random.default_rng(11)
    right, total, kinds = 0, 0, 0
    for kind in KINDS:
        for _ in range(10):
            plate = sample_plate(rng, kind)
            window = framing.windowed(draw_plate(plate, rng, glyphs), plate.rows)
            slots, kind_logits = reader.read(window)
            said = "".join(LABELS[i] for i in slots.argmax(axis=1))
            # No drawing holds an O; it stands where no zero may.
            right += said == plate.text
            kinds += KIND_NAMES[int(kind_logits.argmax())] == kind
            total += 1
    assert right / total >= 0.9
    assert kinds / total >= 0.85


def test_noise_and_flat_colours_are_no_plates(reader: FileReader) -> None:
    rng = np.random.default_rng(2)
    windows = [np.full((32, 128, 3), shade, np.uint8) for shade in (0, 60, 128, 200, 255)]
    windows += [rng.integers(0, 256, (32, 128, 3)).astype(np.uint8) for _ in range(20)]
    for window in windows:
        text, weakest = reader.text(window)
        assert not (domain.kinds_of(text) and weakest >= reader.entry["accept_threshold"]), text


@pytest.mark.pictures
@pytest.mark.skipif(not (PLATES / "labels.csv").exists(), reason="no real pictures: set EDGED_TEST_DATA")
def test_real_plates_never_trained_on_are_read_and_acceptance_means_right(reader: FileReader) -> None:
    plates = [plate for plate in load_real(PLATES) if is_validation(plate.path.name)]
    said = [reader.text(_window(plate)) for plate in plates]
    right = np.asarray([text == plate.text for (text, _), plate in zip(said, plates, strict=True)])
    accepted = np.asarray([weakest >= reader.entry["accept_threshold"] for _, weakest in said])
    assert right.mean() >= 0.9
    assert accepted.mean() >= {"reader": 0.8, "quick_reader": 0.55}[reader.name]
    assert right[accepted].mean() >= 0.98


def _window(plate: RealPlate) -> np.ndarray:
    picture = cv2.imread(str(plate.path))
    if plate.quad is None:
        return framing.windowed(picture)
    quad = framing.widened(plate.quad, framing.MARGIN_X, framing.MARGIN_Y)
    return framing.rectified(picture, quad, plate.rows)
