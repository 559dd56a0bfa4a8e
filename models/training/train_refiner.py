"""Train the corner refiner on patches cut around plates, foreign plates and anything else; resumable, seeded.

python models/training/train_refiner.py --out runs/refiner
"""

from __future__ import annotations

import argparse
import math
import time
import tomllib
from pathlib import Path
from typing import Any, Final

import cv2
import detector_net
import framing
import numpy as np
import numpy.typing as npt
import street_scenes
import torch
import torch.multiprocessing as mp
from torch import Tensor
from torch.nn import functional

WIDTH: Final = 128
HEIGHT: Final = 64
# The plate as the detector saw it fills the middle of the patch; margins are parts of the patch.
MARGIN_X: Final = 0.2
MARGIN_Y: Final = 0.25

Quad = npt.NDArray[np.float32]
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


def jittered(quad: Quad, rng: Rng) -> Quad:
    """A quad as the detector might have given it."""
    width = float(np.linalg.norm(quad[1] - quad[0]))
    unit = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    strength = 1.0 if rng.random() < 0.6 else 1.8
    unit = unit * np.exp(rng.normal(0, (0.08 * strength, 0.14 * strength)))
    unit = (
        unit
        + rng.normal(0, (0.05 * strength, 0.1 * strength))
        + rng.normal(0, (0.02, 0.05), (4, 2)) * strength
    )
    if rng.random() < 0.15:
        # Corners as an upright box: a detector unsure of the tilt.
        low, high = quad.min(0), quad.max(0)
        quad = np.array([low, (high[0], low[1]), high, (low[0], high[1])], np.float32)
    to_quad = cv2.getPerspectiveTransform(
        np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], np.float32), quad.astype(np.float32)
    )
    moved = cv2.perspectiveTransform(unit.astype(np.float32).reshape(-1, 1, 2), to_quad).reshape(4, 2)
    turn = np.radians(rng.normal(0, 2.5 * strength))
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    centre = moved.mean(0)
    return np.asarray((moved - centre) @ rotation + centre + rng.normal(0, 0.002 * width, 2), np.float32)


def patch_of(
    image: street_scenes.Picture, quad: Quad
) -> tuple[street_scenes.Picture, npt.NDArray[np.float64]]:
    """The patch around a quad, and the homography from picture to patch."""
    grown = framing.widened(quad, MARGIN_X / (1 - 2 * MARGIN_X), MARGIN_Y / (1 - 2 * MARGIN_Y))
    target = np.asarray([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], np.float32)
    matrix = cv2.getPerspectiveTransform(grown - np.float32(0.5), target - np.float32(0.5))
    patch = cv2.warpPerspective(
        image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(patch, np.uint8), np.asarray(matrix)


def patches(
    sample: street_scenes.Sample, rng: Rng
) -> list[tuple[street_scenes.Picture, npt.NDArray[np.float32]]]:
    """Patches of one picture with their targets: each plate three times, and what is no plate."""
    out = []
    for quad, rows in zip(sample.quads, sample.rows, strict=True):
        for _ in range(3):
            patch, matrix = patch_of(sample.image, jittered(quad, rng))
            places = cv2.perspectiveTransform(
                (quad - 0.5).reshape(-1, 1, 2).astype(np.float32), matrix
            ).reshape(4, 2)
            places = (places + 0.5) / (WIDTH, HEIGHT)
            known = bool((places > -0.08).all() and (places < 1.08).all())
            out.append((patch, np.array([1, 1, rows == 2, known, *places.reshape(-1)], np.float32)))
    for quad in sample.foreign:
        if np.linalg.norm(quad[1] - quad[0]) > 34:
            out.append((patch_of(sample.image, jittered(quad, rng))[0], np.zeros(12, np.float32)))
    for _ in range(2):
        quad = anything(sample, rng)
        if quad is not None:
            out.append((patch_of(sample.image, quad)[0], np.zeros(12, np.float32)))
    return out


def anything(sample: street_scenes.Sample, rng: Rng) -> Quad | None:
    """A plate-shaped quad that touches no plate, where there is something to see."""
    h, w = sample.image.shape[:2]
    taken = np.concatenate([sample.quads, sample.cut_off, sample.foreign])
    for _ in range(4):
        width = float(np.exp(rng.uniform(np.log(16), np.log(140))))
        height = width * rng.uniform(0.22, 0.6)
        centre = rng.uniform(
            (width / 2, height / 2), (max(width / 2 + 1, w - width / 2), max(height / 2 + 1, h - height / 2))
        )
        quad = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, height / 2) + centre
        quad = jittered(quad.astype(np.float32), rng)
        low, high = quad.min(0), quad.max(0)
        if any((low < q.max(0)).all() and (q.min(0) < high).all() for q in taken):
            continue
        x1, y1 = np.clip(low, 0, (w - 1, h - 1)).astype(int)
        x2, y2 = np.clip(high, 1, (w, h)).astype(int)
        if sample.image[y1:y2, x1:x2].std() > 6 or rng.random() < 0.15:
            return quad
    return None


def compose_forever(pool: Pool, config: dict[str, Any], seed: int) -> None:
    """Worker: fill the ring."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    carriers = street_scenes.load_carriers(street_scenes.plates_folder())
    groups = [
        [c for c in carriers if not c.foreign],
        [c for c in carriers if c.foreign and len(c.quads)],
        [c for c in carriers if c.foreign and not len(c.quads)],
    ]
    bank = street_scenes.PlateBank(config["plates"], rng)
    index = 0
    while True:
        if index > config["pool_before_start"] + config["compose_per_drawn"] * int(pool.drawn):
            time.sleep(0.2)
            continue
        group = groups[int(rng.choice(3, p=(0.5, 0.35, 0.15)))]
        sample = street_scenes.compose(
            rng, group[int(rng.integers(len(group)))], bank, width_px=320, height_px=192, plate_px=(26, 230)
        )
        for patch, target in patches(sample, rng):
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
    total = plate + 0.3 * rows + 0.5 * corners
    return total, {"plate": float(plate.detach()), "rows": float(rows.detach()), "corners_px": float(pixels)}


def train(config: dict[str, Any], out: Path) -> None:
    torch.set_num_threads(config["threads"])
    torch.manual_seed(config["seed"])
    rng = np.random.default_rng(config["seed"])
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
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998), use_buffers=True
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=config["rate"], weight_decay=config["decay"])
    first, last = 0, out / "last.pt"
    if last.exists():
        state = torch.load(last, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
        rng = np.random.default_rng(config["seed"] + first)
    worker.start()
    while int(pool.written) < config["pool_before_start"]:
        time.sleep(0.5)
    began, sums = time.monotonic(), {"plate": 0.0, "rows": 0.0, "corners_px": 0.0}
    for step in range(first, config["steps"]):
        rate = (
            config["rate"]
            * min(1.0, (step + 1) / 200)
            * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / config["steps"])))
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        images, targets = pool.draw(config["batch"], rng)
        loss, parts = loss_of(
            net(detector_net.folded(images).contiguous(memory_format=torch.channels_last)), targets
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        average.update_parameters(net)
        sums = {k: sums[k] + parts[k] for k in sums}
        if (step + 1) % config["report_every"] == 0:
            text = " ".join(f"{k} {v / config['report_every']:.4f}" for k, v in sums.items())
            print(
                f"step {step + 1} rate {rate:.5f} {text} made {int(pool.written)}"
                f" {time.monotonic() - began:.0f} s",
                flush=True,
            )
            sums = dict.fromkeys(sums, 0.0)
            state = {
                "net": net.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step + 1,
            }
            torch.save(state, out / "last.tmp")
            (out / "last.tmp").replace(last)
    worker.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.toml"))
    parser.add_argument("--out", type=Path, default=Path("runs/refiner"))
    arguments = parser.parse_args()
    train(tomllib.loads(arguments.config.read_text(encoding="utf-8"))["refiner"], arguments.out)


if __name__ == "__main__":
    main()
