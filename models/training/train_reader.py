"""Train a reader: python models/training/train_reader.py --config models/training/config.toml --name reader

Renders missing shards, goes on from the last checkpoint when there is one, and leaves `NAME/last.pt`
(everything needed to go on) with running averages of the weights, which are what is exported. The quick
reader learns from what the trained reader says of each window, beside the truth.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import committed
import numpy as np
import numpy.typing as npt
import reader_check
import torch
from reader_config import ReaderConfig, load_config
from reader_data import BLANK
from reader_net import SHAPES, Reader, trained
from render_reader import render_shards
from torch import Tensor
from torch.nn import functional

Windows = npt.NDArray[np.uint8]
NARROW: Final = 0.25  # share of windows that are made of fewer pixels: most real plates here are wide
PULLED: Final = 0.4  # share of windows whose corners move once more
# 795 instead of 479 windows/s on a core that multiplies bfloat16; slower than floats on one that imitates it.
BFLOAT16: Final = torch.cpu._is_avx512_bf16_supported()
SOFTENED: Final = 2.0  # temperature at which a teacher is listened to: what it nearly said counts as well


class Shards:
    """All shards of one sort in memory; `draw` picks windows at random."""

    def __init__(self, paths: list[Path]) -> None:
        parts = [np.load(path) for path in paths]
        self.windows: Windows = np.concatenate([part["windows"] for part in parts])
        self.slots = np.concatenate([part["slots"] for part in parts]).astype(np.int64)
        self.kinds = np.concatenate([part["kinds"] for part in parts]).astype(np.int64)
        self.weights = np.concatenate([part["weights"] for part in parts])

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Windows, ...]:
        chosen = np.sort(rng.integers(0, len(self.windows), count))
        return self.windows[chosen], self.slots[chosen], self.kinds[chosen], self.weights[chosen]


def batches(config: ReaderConfig, paths: list[Path], rng: np.random.Generator) -> Iterator[list[Tensor]]:
    """Endless batches of windows (0..1), slots, kinds and weights, synthetic and real by `real_share`."""
    real = Shards([path for path in paths if path.stem.startswith("real")])
    synthetic = Shards([path for path in paths if not path.stem.startswith("real")])
    real_count = round(config.batch * config.real_share)
    grain = torch.randn(2 * config.batch * real.windows[0].size)
    while True:
        drawn = zip(real.draw(real_count, rng), synthetic.draw(config.batch - real_count, rng), strict=True)
        windows, slots, kinds, weights = (torch.from_numpy(np.concatenate(pair)) for pair in drawn)
        yield [shake(windows, grain, rng), slots, kinds, weights]


def shake(windows: Tensor, grain: Tensor, rng: np.random.Generator) -> Tensor:
    """Cheap differences between two sights of a window: light, channel gains, a shift, a blot, grain.

    N x 32 x 128 x 3 bytes in, N x 3 x 32 x 128 floats of 0..1 out. In place and channels last
    throughout: this runs on the cores that train.
    """
    count = len(windows)
    gain = np.exp(rng.normal(0, 0.07, (count, 1, 1, 1)) + rng.normal(0, 0.05, (count, 1, 1, 3))) / 255
    out = windows.float().mul_(torch.from_numpy(gain).float())
    out.add_(torch.from_numpy(rng.normal(0, 0.03, (count, 1, 1, 1))).float())
    for i in np.flatnonzero(rng.random(count) < 0.1):
        x, y, wide, high = rng.integers((0, 0, 2, 3), (126, 29, 6, 10)).tolist()
        out[i, y : y + high, x : x + wide] = float(rng.random())
    if rng.random() < 0.4:
        start = int(rng.integers(0, len(grain) - out.numel()))
        out.add_(grain[start : start + out.numel()].view_as(out), alpha=float(rng.uniform(0, 0.03)))
    shaken = out.clamp_(0, 1).permute(0, 3, 1, 2)
    narrow = torch.from_numpy(np.flatnonzero(rng.random(count) < NARROW))
    shaken[narrow] = seen_from_afar(shaken[narrow], rng)
    pulled = torch.from_numpy(np.flatnonzero(rng.random(count) < PULLED))
    shaken[pulled] = pull_corners(shaken[pulled], rng)
    return shaken


def seen_from_afar(windows: Tensor, rng: np.random.Generator) -> Tensor:
    """The windows as if their plates had been 28 to 70 px wide in the camera's picture."""
    width = int(rng.integers(28, 70))
    small = functional.interpolate(windows, (max(9, round(0.32 * width)), width), mode="area")
    return functional.interpolate(small, windows.shape[2:], mode="bilinear", align_corners=False)


def pull_corners(windows: Tensor, rng: np.random.Generator) -> Tensor:
    """Each window's corners moved apart a little, as found corners are, and every other window slanted.

    A plate seen from the side, cut out by an upright box, climbs or falls across its window.
    """
    count, _, height, width = windows.shape
    # In grid_sample's units the window is 2 x 2: a good 1% of its width, 4% of its height.
    corners = rng.normal(0, 1, (count, 2, 2, 2)) * np.asarray([0.025, 0.08])[:, None, None]
    moved = functional.interpolate(
        torch.from_numpy(corners).float(), (height, width), mode="bilinear", align_corners=True
    )
    fall = np.clip(rng.normal(0, 0.35, count), -0.9, 0.9) * (rng.random(count) < 0.5)
    turn = np.zeros((count, 2, 3))
    turn[:, 0, 0] = 1
    turn[:, 1, 0] = fall
    turn[:, 1, 1] = 1 + 0.6 * np.abs(fall)  # shrunk, so that the plate's ends stay in
    grid = functional.affine_grid(torch.from_numpy(turn).float(), [count, 3, height, width], False)
    return functional.grid_sample(
        windows, grid + moved.permute(0, 2, 3, 1), padding_mode="border", align_corners=False
    )


def loss_of(reader: Reader, teacher: Reader | None, batch: list[Tensor], config: ReaderConfig) -> Tensor:
    """Cross-entropy of slots (province and letter weighted) and of the kind where there is a plate.

    With a teacher also how far both are apart.
    """
    windows, slots, kinds, weights = batch
    with torch.autocast("cpu", torch.bfloat16, enabled=BFLOAT16):
        slot_logits, kind_logits = (logits.float() for logits in reader(windows))
    each = functional.cross_entropy(
        slot_logits.transpose(1, 2), slots, reduction="none", label_smoothing=config.label_smoothing
    )
    # A window without a plate is blank all over: its eight easy slots count as one.
    weighing = torch.where((slots == BLANK).all(dim=1, keepdim=True), 0.3, 1.0).repeat(1, slots.shape[1])
    weighing[:, :2] *= weights
    kind = functional.cross_entropy(kind_logits, kinds, ignore_index=-1)
    if teacher is not None:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=BFLOAT16):
            taught_slots, taught_kind = (logits.float() for logits in teacher(windows))
        each = each / 2 + apart(slot_logits, taught_slots)
        kind = (kind + apart(kind_logits, taught_kind).mean()) / 2
    return (each * weighing).sum(dim=1).mean() + config.kind_weight * kind


def apart(logits: Tensor, taught: Tensor) -> Tensor:
    """Divergence of the last dimension's distributions, softened (Hinton, Vinyals, Dean 2015)."""
    ours, theirs = (logits / SOFTENED).log_softmax(-1), (taught / SOFTENED).softmax(-1)
    return functional.kl_div(ours, theirs, reduction="none").sum(-1) * SOFTENED**2


def rate_at(step: int, config: ReaderConfig) -> float:
    """Learning rate: a short climb, then a cosine down to a hundredth."""
    warm = 300
    if step < warm:
        return config.peak_learning_rate * (step + 1) / warm
    done = min(1.0, (step - warm) / max(1, config.steps - warm))
    return config.peak_learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def train(config: ReaderConfig, start: Path | None, alone: bool = False) -> None:
    """Run from the last checkpoint (or `start`'s weights) to `config.steps`."""
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(config.seed)
    paths = render_shards(config, processes=config.threads)
    shape = SHAPES[config.name]
    reader, averaged = Reader(shape), Reader(shape)
    averaged.load_state_dict(reader.state_dict())
    optimizer = torch.optim.AdamW(reader.parameters(), lr=1e-3, weight_decay=config.weight_decay)
    step, checkpoint = 0, config.checkpoint
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        reader.load_state_dict(state["reader"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    elif start is not None:
        begin_from(start, reader, np.load(paths[0])["windows"][:1024])
        averaged.load_state_dict(reader.state_dict())
    reader.to(memory_format=torch.channels_last)
    teacher = None
    if config.name == "quick_reader" and not alone:
        teacher = trained("reader", config.work / "reader" / "last.pt").to(memory_format=torch.channels_last)
    source = batches(config, paths, np.random.default_rng([config.seed, step]))
    began, running = time.monotonic(), 0.0
    reader.train()
    while step < config.steps:
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, config)
        loss = loss_of(reader, teacher, next(source), config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 5.0)
        optimizer.step()
        step += 1
        average_into(averaged, reader, min(config.ema, step / (step + 10)))
        running += (float(loss.detach()) - running) / min(step, 100)
        if step % 50 == 0:
            speed = 50 * config.batch / (time.monotonic() - began)
            began = time.monotonic()
            print(f"step {step} loss {running:.3f} {speed:.0f} windows/s", flush=True)
        if step % config.checkpoint_every == 0 or step == config.steps:
            save(checkpoint, reader, averaged, optimizer, step)
            scores = reader_check.quick_scores(averaged, config)
            line = json.dumps({"step": step, "loss": round(running, 4), **scores})
            print(line, flush=True)
            with (config.folder / "curve.jsonl").open("a") as curve:
                curve.write(line + "\n")
            began = time.monotonic()


def begin_from(start: Path, reader: Reader, windows: Windows) -> None:
    """Take the weights of a checkpoint, or of an exported reader of this shape or a smaller one."""
    if start.suffix != ".tflite":
        reader.load_state_dict(torch.load(start, weights_only=True)["averaged"])
        return
    smaller = committed.restored_reader(start)
    committed.settle(smaller, torch.from_numpy(windows).permute(0, 3, 1, 2).float() / 255)
    committed.grow(reader, smaller)


def average_into(averaged: Reader, reader: Reader, keep: float) -> None:
    """Move the running average a little towards the reader; counters are copied."""
    ours, theirs = averaged.state_dict(), reader.state_dict()
    with torch.no_grad():
        for name, value in ours.items():
            if value.dtype.is_floating_point:
                value.lerp_(theirs[name], 1 - keep)
            else:
                value.copy_(theirs[name])


def save(path: Path, reader: Reader, averaged: Reader, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write a checkpoint so that a kill leaves the old or the new one."""
    part = path.with_suffix(".part")
    state = {"reader": reader.state_dict(), "averaged": averaged.state_dict(), "step": step}
    torch.save({**state, "optimizer": optimizer.state_dict()}, part)
    part.replace(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("models/training/config.toml"))
    parser.add_argument("--name", choices=sorted(SHAPES), default="reader")
    parser.add_argument("--start", type=Path, help="a checkpoint or an exported reader to begin from")
    parser.add_argument(
        "--alone", action="store_true", help="no teacher for the quick reader: 4 times as fast"
    )
    arguments = parser.parse_args()
    train(load_config(arguments.config, arguments.name), arguments.start, arguments.alone)
