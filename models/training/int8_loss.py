"""What full-integer quantization costs: python models/training/int8_loss.py

The float checkpoint and the exported file read the same windows, one look each: every held-out real plate
filmed worse twenty times over, and unseen synthetic plates. A plate of the 125 cut-outs alone would be 0.8
points.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import framing
import numpy as np
import numpy.typing as npt
import torch
from evaluate_reader import TfliteReader
from plate_art import load_glyphs
from reader_check import CheckSet, predicted, text_of, worse_set
from reader_config import ReaderConfig, load_config
from reader_data import synthetic_sample
from reader_net import SHAPES, trained

SYNTHETIC: Final = 2000
SEED: Final = 78


def synthetic_set(config: ReaderConfig) -> CheckSet:
    """Plates of all kinds, as degraded as in training."""
    rng, glyphs = np.random.default_rng(SEED), load_glyphs(config.plates / "glyphs")
    samples = [synthetic_sample(glyphs, rng, mistaken_share=0.0) for _ in range(SYNTHETIC)]
    windows = np.stack([framing.levelled(sample.window)[:, :, ::-1] for sample in samples])
    texts, kinds = [sample.text for sample in samples], [str(sample.kind) for sample in samples]
    return CheckSet(name="synthetic", windows=windows, texts=texts, kinds=kinds)


def whole_right(logits: npt.NDArray[np.float32], texts: list[str]) -> npt.NDArray[np.bool_]:
    """Whether each window's whole text was read."""
    said = [text_of(slots) for slots in logits.argmax(axis=2)]
    return np.asarray([a == b for a, b in zip(said, texts, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("models/training/config.toml"))
    parser.add_argument("--name", choices=sorted(SHAPES), default="reader")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = load_config(arguments.config, arguments.name)
    network = trained(config.name, config.checkpoint)
    exported = TfliteReader(Path(f"models/plate_{config.name}.tflite").read_bytes())
    print("| windows | n | float | int8 | only float right | only int8 right |\n|---|---|---|---|---|---|")
    for check in (worse_set(config.plates), synthetic_set(config)):
        real = whole_right(predicted(network, check.windows)[0], check.texts)
        integer = whole_right(exported.predicted(check.windows)[0], check.texts)
        lost, won = int((real & ~integer).sum()), int((integer & ~real).sum())
        print(f"| {check.name} | {len(real)} | {real.mean():.2%} | {integer.mean():.2%} | {lost} | {won} |")


if __name__ == "__main__":
    main()
