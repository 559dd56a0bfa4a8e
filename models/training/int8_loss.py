"""What full-integer quantization costs: python models/training/int8_loss.py

The float checkpoint and the exported file read the same windows, one look each: every held-out real plate
filmed worse twenty times over, and unseen synthetic plates. A plate of the 125 cut-outs alone would be 0.8
points.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import cv2
import framing
import numpy as np
import numpy.typing as npt
import torch
from evaluate_reader import TfliteReader
from plate_art import load_glyphs
from reader_check import predicted, text_of
from reader_config import ReaderConfig, load_config
from reader_data import Sample, is_validation, load_real, real_sample, synthetic_sample
from reader_net import Reader

TIMES_A_PLATE: Final = 20
SYNTHETIC: Final = 2000
SEED: Final = 77


def real_samples(config: ReaderConfig, rng: np.random.Generator) -> list[Sample]:
    """Every validation plate, `TIMES_A_PLATE` times as training would ruin it."""
    plates = [plate for plate in load_real(config.plates) if is_validation(plate.path.name)]
    pictures = {plate.path: np.asarray(cv2.imread(str(plate.path)), np.uint8) for plate in plates}
    return [real_sample(plate, pictures[plate.path], rng) for plate in plates for _ in range(TIMES_A_PLATE)]


def synthetic_samples(config: ReaderConfig, rng: np.random.Generator) -> list[Sample]:
    """Plates of all kinds, as degraded as in training."""
    glyphs = load_glyphs(config.plates / "glyphs")
    return [synthetic_sample(glyphs, rng, mistaken_share=0.0) for _ in range(SYNTHETIC)]


def whole_right(logits: npt.NDArray[np.float32], samples: list[Sample]) -> npt.NDArray[np.bool_]:
    """Whether each sample's whole text was read."""
    said = [text_of(slots) for slots in logits.argmax(axis=2)]
    return np.asarray([text == sample.text for text, sample in zip(said, samples, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("models/training/config.toml"))
    parser.add_argument("--model", type=Path, default=Path("models/plate_reader.tflite"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config, rng = load_config(arguments.config), np.random.default_rng(SEED)
    network = Reader()
    state = torch.load(config.work / "reader" / "last.pt", weights_only=True)
    network.load_state_dict(state["averaged"])
    exported = TfliteReader(arguments.model.read_bytes())
    print("| windows | n | float | int8 | only float right | only int8 right |\n|---|---|---|---|---|---|")
    for name, samples in (
        ("real, held out", real_samples(config, rng)),
        ("synthetic", synthetic_samples(config, rng)),
    ):
        windows = np.stack([framing.levelled(sample.window)[:, :, ::-1] for sample in samples])
        real = whole_right(predicted(network, windows)[0], samples)
        integer = whole_right(exported.predicted(windows)[0], samples)
        lost, won = int((real & ~integer).sum()), int((integer & ~real).sum())
        print(f"| {name} | {len(samples)} | {real.mean():.2%} | {integer.mean():.2%} | {lost} | {won} |")


if __name__ == "__main__":
    main()
