"""Train the plate detector on composed street scenes; resumable, seeded, settings in `config.toml`.

python models/training/train_detector.py --out runs/detector
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
from torch import Tensor

MAX_PLATES = 12


class Pool:
    """A ring of composed pictures in shared memory: the oldest are overwritten, any is drawn."""

    def __init__(self, size: int, height: int, width: int) -> None:
        self.images = torch.zeros((size, height, width, 3), dtype=torch.uint8).share_memory_()
        self.quads = torch.zeros((size, MAX_PLATES, 4, 2)).share_memory_()
        # present, rows, ignored
        self.flags = torch.zeros((size, MAX_PLATES, 3), dtype=torch.int64).share_memory_()
        self.written = torch.zeros(1, dtype=torch.int64).share_memory_()
        self.drawn = torch.zeros(1, dtype=torch.int64).share_memory_()

    def put(self, index: int, sample: street_scenes.Sample) -> None:
        slot = index % len(self.images)
        self.images[slot] = torch.from_numpy(sample.image)
        # Foreign plates are neither plate nor background here: at 20 px nobody can tell.
        ignored = np.concatenate([sample.foreign, sample.cut_off])
        quads = np.concatenate([sample.quads, ignored])[:MAX_PLATES]
        rows = np.concatenate([sample.rows, np.ones(len(ignored), np.int64)])[:MAX_PLATES]
        n = len(quads)
        self.flags[slot] = 0
        self.quads[slot, :n] = torch.from_numpy(np.ascontiguousarray(quads))
        self.flags[slot, :n, 0] = 1
        self.flags[slot, :n, 1] = torch.from_numpy(rows)
        self.flags[slot, len(sample.quads) : n, 2] = 1

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        filled = min(int(self.written), len(self.images))
        picks = torch.from_numpy(rng.integers(0, filled, count))
        return self.images[picks], self.quads[picks], self.flags[picks]


def compose_forever(pool: Pool, config: dict[str, Any], seed: int, first: int, step: int) -> None:
    """Worker: fill the ring. Which carrier comes next is by the shares in the config."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    carriers = load_carriers(plates_folder())
    groups = [
        [c for c in carriers if not c.foreign],
        [c for c in carriers if c.foreign and len(c.quads)],
        [c for c in carriers if c.foreign and not len(c.quads)],
    ]
    shares = np.array([config["share_scenes"], config["share_foreign"], config["share_empty"]])
    bank = street_scenes.PlateBank(config["plates"], rng)
    index = first
    while True:
        if index > config["pool_before_start"] + config["compose_per_drawn"] * int(pool.drawn):
            time.sleep(0.2)
            continue
        group = groups[int(rng.choice(3, p=shares / shares.sum()))]
        sample = street_scenes.compose(
            rng,
            group[int(rng.integers(len(group)))],
            bank,
            width_px=config["width_px"],
            height_px=config["height_px"],
            plate_px=(config["min_plate_px"], config["max_plate_px"]),
        )
        pool.put(index, sample)
        pool.written[0] = index + 1
        index += step


def network_input(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Folded pictures; gain and offset per picture and channel give those drawn twice some variety."""
    n = len(images)
    gain = np.tile(
        np.exp(rng.normal(0, 0.1, (n, 1)) + rng.normal(0, 0.04, (n, 3))), detector_net.DETECTOR_FOLD
    )
    shift = rng.normal(0, 0.06, (n, 1))
    x = detector_net.folded(images, detector_net.DETECTOR_FOLD)
    # Gain on bytes, not on what they were mapped to: dark stays dark.
    x.mul_(torch.from_numpy(gain)[:, :, None, None].float())
    x.add_(torch.from_numpy(gain - 1 + shift)[:, :, None, None].float())
    return x.contiguous(memory_format=torch.channels_last)


def train(config: dict[str, Any], out: Path, start: Path | None) -> None:
    torch.set_num_threads(config["threads"])
    torch.manual_seed(config["seed"])
    out.mkdir(parents=True, exist_ok=True)
    pool = Pool(config["pool"], config["height_px"], config["width_px"])
    workers = [
        mp.Process(
            target=compose_forever,
            args=(pool, config, config["seed"] + 1 + i, i, config["workers"]),
            daemon=True,
        )
        for i in range(config["workers"])
    ]
    net = detector_net.Detector().to(memory_format=torch.channels_last)

    def loss_of_batch(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        images, quads, flags = pool.draw(config["batch"], rng)
        pool.drawn += len(images)
        outputs = net(network_input(images, rng))
        return detector_net.detector_loss(outputs, quads, flags[..., 0], flags[..., 1], flags[..., 2])

    for worker in workers:
        worker.start()
    while int(pool.written) < config["pool_before_start"]:
        time.sleep(0.5)
    if start is not None:
        seen = detector_net.folded(pool.images[:64], detector_net.DETECTOR_FOLD)
        committed.begin_from(start, net, seen)
    learn(net, config, out, loss_of_batch)
    for worker in workers:
        worker.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.toml"))
    parser.add_argument("--out", type=Path, default=Path("runs/detector"))
    parser.add_argument("--start", type=Path, help="an exported detector to begin from")
    arguments = parser.parse_args()
    config = tomllib.loads(arguments.config.read_text(encoding="utf-8"))["detector"]
    train(config, arguments.out, arguments.start)


if __name__ == "__main__":
    main()
