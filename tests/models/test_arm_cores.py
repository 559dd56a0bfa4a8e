"""The committed readers on the cores of pole boxes, emulated, with both runtimes."""

from pathlib import Path

import arm_machine
import cv2
import framing
import numpy as np
import pytest
from reader_data import LABELS

from edged.demo.plates import draw_plate, usual_kind

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

MODELS = Path(__file__).resolve().parents[2] / "models"
TEXTS = ("京A12345", "苏E73W26", "浙C65P41", "粤BD12345", "皖KX789P", "鲁S39612", "湘A0D8Q2")
READERS = ["plate_reader.tflite", "plate_quick_reader.tflite"]


def windows() -> np.ndarray:
    """Clean plates, 110 px wide, as the readers take them."""
    rng = np.random.default_rng(5)
    plates = [draw_plate(text, usual_kind(text), rng).image for text in TEXTS]
    small = [cv2.resize(plate, (110, 35), interpolation=cv2.INTER_AREA) for plate in plates]
    return np.stack([framing.levelled(framing.windowed(plate))[:, :, ::-1] for plate in small])


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        root = arm_machine.make(tmp_path_factory.mktemp("arm"))
    except arm_machine.NoArmMachine as exc:
        pytest.skip(f"no emulated ARM machine: {exc}")
    for name in READERS:
        (root / "models" / name).write_bytes((MODELS / name).read_bytes())
    np.save(root / "windows.npy", windows())
    return root


@pytest.mark.parametrize("runtime", ["ai-edge-litert", "tflite-runtime"])
@pytest.mark.parametrize("core", arm_machine.CORES)
def test_readers_read_right_on_the_cores_of_pole_boxes(machine: Path, core: str, runtime: str) -> None:
    arm_machine.run(machine, core, runtime, READERS)
    with np.load(machine / "read.npz") as read:
        for name in READERS:
            said = ["".join(LABELS[i] for i in slots.argmax(axis=1)) for slots in read[name]]
            assert said == list(TEXTS), name
