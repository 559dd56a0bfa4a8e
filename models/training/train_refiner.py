"""Train the corner refiner on patches cut around plates, foreign plates and anything else; resumable, seeded.

python models/training/train_refiner.py --out runs/refiner
"""

from __future__ import annotations

import argparse
import time
import tomllib
from pathlib import Path
from typing import Any

import committed
import cv2
import detector_net
import numpy as np
import street_scenes
import torch
import torch.multiprocessing as mp
from carriers import load_carriers, plates_folder
from learning import learn
from refiner_patches import (
    HEIGHT,
    MARGIN_X,
    MARGIN_Y,
    WIDTH,
    jittered,
    mistaken_for_plates,
    patch_of,
    patches,
)
from spoil import spoil
from torch import Tensor
from torch.nn import functional

Rng = np.random.Generator


class Pool:
    """A ring of patches in shared memory. Targets: plate, rows known, two rows, corners known, places."""

    def __init__(self, size: int) -> None:
        self.patches = torch.zeros((size, HEIGHT, WIDTH, 3), dtype=torch.uint8).share_memory_()
        self.targets = torch.zeros((size, 12)).share_memory_()
        self.written = torch.zeros(1, dtype=torch.int64).share_memory_()
        self.drawn = torch.zeros(1, dtype=torch.int64).share_memory_()

    def draw(self, count: int, rng: Rng) -> tuple[Tensor, Tensor]:
        filled = min(int(self.written), len(self.patches))
        picks = torch.from_numpy(rng.integers(0, filled, count))
        self.drawn += count
        return self.patches[picks], self.targets[picks]


def compose_forever(pool: Pool, config: dict[str, Any], seed: int) -> None:
    """Worker: fill the ring."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    carriers = load_carriers(plates_folder())
    groups = [
        [c for c in carriers if not c.foreign],
        [c for c in carriers if c.foreign and len(c.quads)],
        [c for c in carriers if c.foreign and not len(c.quads)],
    ]
    bank = street_scenes.PlateBank(config["plates"], rng)
    mistaken = mistaken_for_plates(carriers, Path(__file__).resolve().parents[1])
    index = 0
    while True:
        if index > config["pool_before_start"] + config["compose_per_drawn"] * int(pool.drawn):
            time.sleep(0.2)
            continue
        group = groups[int(rng.choice(3, p=(0.5, 0.35, 0.15)))]
        sample = street_scenes.compose(
            rng, group[int(rng.integers(len(group)))], bank, width_px=320, height_px=192, plate_px=(26, 230)
        )
        made = patches(sample, rng)
        if mistaken and rng.random() < config["share_mistaken"]:
            carrier, quad = mistaken[int(rng.integers(len(mistaken)))]
            patch, _ = patch_of(carriers[carrier].image, jittered(quad, rng))
            made.append((spoil(rng, patch), np.zeros(12, np.float32)))
        for patch, target in made:
            slot = index % len(pool.patches)
            pool.patches[slot] = torch.from_numpy(patch)
            pool.targets[slot] = torch.from_numpy(target)
            index += 1
        pool.written[0] = index


def loss_of(outputs: Tensor, targets: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy on plate and rows, Huber on corners in units of about half a patch pixel."""
    plate = functional.binary_cross_entropy_with_logits(outputs[:, 0], targets[:, 0])
    of_plate = targets[:, 1]
    rows = functional.binary_cross_entropy_with_logits(outputs[:, 1], targets[:, 2], reduction="none")
    rows = (rows * of_plate).sum() / of_plate.sum().clamp(min=1)
    known = targets[:, 3]
    error = (outputs[:, 2:] - targets[:, 4:]) * torch.tensor([WIDTH, HEIGHT] * 4)
    corners = functional.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=1.0).mean(1)
    corners = (corners * known).sum() / known.sum().clamp(min=1)
    pixels = (error.detach().abs().mean(1) * known).sum() / known.sum().clamp(min=1)
    total = plate + 0.3 * rows + corners
    return total, {"plate": float(plate.detach()), "rows": float(rows.detach()), "corners_px": float(pixels)}


def train(config: dict[str, Any], out: Path, start: Path | None) -> None:
    torch.set_num_threads(config["threads"])
    torch.manual_seed(config["seed"])
    out.mkdir(parents=True, exist_ok=True)
    pool = Pool(config["pool"])
    worker = mp.Process(target=compose_forever, args=(pool, config, config["seed"] + 1), daemon=True)
    net = detector_net.Refiner().to(memory_format=torch.channels_last)
    with torch.no_grad():
        square = [
            MARGIN_X,
            MARGIN_Y,
            1 - MARGIN_X,
            MARGIN_Y,
            1 - MARGIN_X,
            1 - MARGIN_Y,
            MARGIN_X,
            1 - MARGIN_Y,
        ]
        net.out.bias[2:] = torch.tensor(square)
        net.out.weight[2:] *= 0.1

    def loss_of_batch(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        images, targets = pool.draw(config["batch"], rng)
        patches = detector_net.folded(images, detector_net.REFINER_FOLD)
        patches = patches.contiguous(memory_format=torch.channels_last)
        return loss_of(net(patches), targets)

    worker.start()
    while int(pool.written) < config["pool_before_start"]:
        time.sleep(0.5)
    if start is not None:
        seen = detector_net.folded(pool.patches[:512], detector_net.REFINER_FOLD)
        committed.begin_from(start, net, seen)
    learn(net, config, out, loss_of_batch)
    worker.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.toml"))
    parser.add_argument("--out", type=Path, default=Path("runs/refiner"))
    parser.add_argument("--start", type=Path, help="an exported refiner to begin from")
    arguments = parser.parse_args()
    config = tomllib.loads(arguments.config.read_text(encoding="utf-8"))["refiner"]
    train(config, arguments.out, arguments.start)


if __name__ == "__main__":
    main()
