"""Export detector and refiner as full-integer TFLite and write their part of the manifest.

python models/training/export_detector.py --detector runs/detector --refiner runs/refiner
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any, Final

import cv2
import detector_net
import numpy as np
import numpy.typing as npt
import refiner_patches
import street_scenes
import torch
from carriers import Picture, load_carriers, plates_folder

MODELS: Final = Path(__file__).resolve().parent.parent
DETECTOR_SIZE: Final = (960, 576)
Float = npt.NDArray[np.float32]


def averaged(network: torch.nn.Module, checkpoint: Path) -> int:
    """Load the running averages of a checkpoint into `network`; return its step."""
    state = torch.load(checkpoint, weights_only=True)
    prefix = "module."
    weights = {k.removeprefix(prefix): v for k, v in state["average"].items() if k.startswith(prefix)}
    network.load_state_dict(weights)
    network.eval()
    return int(state["step"])


def as_input(picture: Picture, fold: int) -> Float:
    h, w, _ = picture.shape
    return (picture.reshape(h, w // fold, 3 * fold).astype(np.float32) / 128 - 1).astype(np.float32)


def whole_byte(shape: tuple[int, int, int]) -> Picture:
    """A picture of zeros and 255s, so that the quantized input is exactly the byte - 128."""
    picture = np.zeros(shape, np.uint8)
    picture[::2] = 255
    return picture


def detector_pictures(count: int, rng: np.random.Generator) -> Float:
    """Composed pictures as the detector sees them; none of the validation set."""
    carriers = load_carriers(plates_folder())
    bank = street_scenes.PlateBank(200, rng)
    width, height = DETECTOR_SIZE
    pictures = [whole_byte((height, width, 3))]
    for _ in range(count):
        carrier = carriers[int(rng.integers(len(carriers)))]
        size = {"width_px": width, "height_px": height}
        sample = street_scenes.compose(rng, carrier, bank, **size, plate_px=(20, 400))
        pictures.append(sample.image)
    return np.stack([as_input(picture, detector_net.DETECTOR_FOLD) for picture in pictures])


def patches(count: int, rng: np.random.Generator) -> Float:
    """Patches as the refiner sees them; none of the validation set."""
    carriers = load_carriers(plates_folder())
    bank = street_scenes.PlateBank(200, rng)
    found = [whole_byte((refiner_patches.HEIGHT, refiner_patches.WIDTH, 3))]
    while len(found) < count:
        carrier = carriers[int(rng.integers(len(carriers)))]
        sample = street_scenes.compose(rng, carrier, bank, width_px=320, height_px=192, plate_px=(26, 230))
        found += [patch for patch, _ in refiner_patches.patches(sample, rng)]
    return np.stack([as_input(patch, detector_net.REFINER_FOLD) for patch in found])


def merge_manifest(path: Path, entries: dict[str, dict[str, Any]]) -> None:
    """Replace the given models' entries, keeping the thresholds already there."""
    manifest = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, entry in entries.items():
        kept = {k: v for k, v in manifest.get(name, {}).items() if k in ("score_from", "plate_from")}
        manifest[name] = {**entry, **kept}
    path.write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def entry_of(path: Path, **values: Any) -> dict[str, Any]:
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), **values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", type=Path, default=None)
    parser.add_argument("--refiner", type=Path, default=None)
    parser.add_argument("--models", type=Path, default=MODELS)
    arguments = parser.parse_args()
    import keras

    rng = np.random.default_rng(5)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    twin = detector_net.Twin(keras)
    entries: dict[str, dict[str, Any]] = {}
    width, height = DETECTOR_SIZE
    if arguments.detector is not None:
        detector = detector_net.Detector()
        step = averaged(detector, arguments.detector / "last.pt")
        path = arguments.models / "plate_detector.tflite"
        detector_net.write_tflite(twin.detector(detector, height, width), detector_pictures(150, rng), path)
        entries["detector"] = entry_of(
            path,
            input={
                "shape": [1, height, width // detector_net.DETECTOR_FOLD, 3 * detector_net.DETECTOR_FOLD],
                "order": "BGR, six pixels folded",
                "integer": "pixel - 128",
            },
            strides=list(detector_net.STRIDES),
            outputs="per stride: logits (plate, two rows); corners in strides, clockwise from top left",
            trained_steps=step,
            score_from=0.35,
        )
    if arguments.refiner is not None:
        refiner = detector_net.Refiner()
        step = averaged(refiner, arguments.refiner / "last.pt")
        path = arguments.models / "plate_refiner.tflite"
        detector_net.write_tflite(twin.refiner(refiner), patches(300, rng), path)
        shape = [1, refiner_patches.HEIGHT, refiner_patches.WIDTH // 4, 12]
        entries["refiner"] = entry_of(
            path,
            input={"shape": shape, "order": "BGR, four pixels folded", "integer": "pixel - 128"},
            outputs="logits (plate, two rows); corner places in parts of the patch, clockwise from top left",
            margin_x=refiner_patches.MARGIN_X,
            margin_y=refiner_patches.MARGIN_Y,
            trained_steps=step,
            plate_from=0.5,
        )
    merge_manifest(arguments.models / "manifest.json", entries)
    for name, entry in entries.items():
        size = (arguments.models / entry["file"]).stat().st_size
        print(f"{name}: {entry['file']} {size} bytes, step {entry['trained_steps']}")


if __name__ == "__main__":
    main()
