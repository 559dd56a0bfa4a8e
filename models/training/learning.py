"""The loop that detector and refiner learn in: resumable, with running averages of the weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

Loss = Callable[[np.random.Generator], tuple[Tensor, dict[str, float]]]
WARM_STEPS: Final = 300


def learn(net: nn.Module, config: dict[str, Any], out: Path, loss_of_batch: Loss) -> None:
    """Go on from `out/last.pt`, if it is there, to `config["steps"]`; a checkpoint with every report.

    `loss_of_batch` draws a batch by the given random numbers and returns its loss and the parts to report.
    """
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998), use_buffers=True
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=config["rate"], weight_decay=config["decay"])
    parts = {"net": net, "average": average, "optimizer": optimizer}
    last = out / "last.pt"
    first = _resumed(parts, last) if last.exists() else 0
    rng = np.random.default_rng(config["seed"] + first)
    began, sums = time.monotonic(), dict[str, float]()
    for step in range(first + 1, config["steps"] + 1):
        rate = rate_at(step, config)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, shares = loss_of_batch(rng)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        average.update_parameters(net)
        sums = {name: sums.get(name, 0.0) + value for name, value in shares.items()}
        if step % config["report_every"] == 0 or step == config["steps"]:
            text = " ".join(f"{name} {value / config['report_every']:.4f}" for name, value in sums.items())
            print(f"step {step} rate {rate:.5f} {text} {time.monotonic() - began:.0f} s", flush=True)
            sums = {}
            _save(parts, step, last)


def rate_at(step: int, config: dict[str, Any]) -> float:
    """Learning rate: a short climb, then a cosine down to a fiftieth."""
    cosine = 0.5 * (1 + math.cos(math.pi * (step - 1) / config["steps"]))
    return float(config["rate"] * min(1.0, step / WARM_STEPS) * (0.02 + 0.98 * cosine))


def _resumed(parts: dict[str, Any], path: Path) -> int:
    state = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["step"])


def _save(parts: dict[str, Any], step: int, path: Path) -> None:
    """Write a checkpoint so that a kill leaves the old or the new one."""
    unfinished = path.with_suffix(".part")
    torch.save({**{name: part.state_dict() for name, part in parts.items()}, "step": step}, unfinished)
    unfinished.replace(path)
