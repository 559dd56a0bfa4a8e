"""The readers: 8 fixed character slots, each looking anywhere on a 4x32 map of the window, and a kind head.

Every layer is one that full-integer TFLite has. No CTC: two thirds of a CTC reader's errors are of length.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from reader_data import KIND_NAMES, LABELS, SLOTS
from torch import Tensor, nn

STEM: Final = 16
FEATURES: Final = 96
GRID: Final = (4, 32)
FARTHEST: Final = -12.0


def conv(
    inputs: int, outputs: int, kernel: tuple[int, int] = (3, 3), stride: tuple[int, int] = (1, 1)
) -> nn.Sequential:
    """Convolution, batch norm, ReLU; the convolution carries the bias only once folded."""
    padding = (kernel[0] // 2, kernel[1] // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """x + conv(x), the sum rectified."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)  # begins by passing x on: deeper trains as surely as shallow

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(x + self.norm(self.conv(x)))


class Light(nn.Module):
    """x + pointwise(depthwise(x)), the sum rectified: a sixth of a `Residual`'s multiplications."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.deep = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False)
        self.deep_norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        deep = torch.relu_(self.deep_norm(self.deep(x)))
        return torch.relu_(x + self.norm(self.conv(deep)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A reader's channels at 8x32 (`low`) and 4x32 (`high`), and the blocks that follow each."""

    low: int
    low_blocks: tuple[type[Residual | Light], ...]
    high: int
    high_blocks: tuple[type[Residual | Light], ...]


SHAPES: Final = {
    "reader": Shape(low=48, low_blocks=(Residual,) * 2, high=128, high_blocks=(Residual,) * 3),
    "quick_reader": Shape(low=32, low_blocks=(Residual,), high=64, high_blocks=(Light,) * 4),
}


class Reader(nn.Module):
    """N x 3 x 32 x 128 in 0..1 to slot logits (N x 8 x labels) and kind logits (N x kinds)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        low, high = shape.low, shape.high
        self.trunk = nn.Sequential(
            conv(3, STEM, stride=(2, 2)),
            conv(STEM, low, stride=(2, 2)),
            *(block(low) for block in shape.low_blocks),
            conv(low, high, stride=(2, 1)),
            *(block(high) for block in shape.high_blocks),
        )
        # Which slot a character belongs to depends on what stands left and right of it.
        self.beside = nn.Conv2d(high, high, (1, 9), 1, (0, 4), groups=high, bias=False)
        self.beside_norm = nn.BatchNorm2d(high)
        self.mix = conv(high, FEATURES, (1, 1))
        self.whole = nn.Linear(FEATURES, FEATURES)
        self.look = nn.Conv2d(FEATURES, SLOTS, 1)
        self.look_where = nn.Parameter(_places())
        self.slot_shift = nn.Parameter(torch.zeros(SLOTS, FEATURES))
        self.slot = nn.Linear(FEATURES, FEATURES)
        self.label = nn.Linear(FEATURES, len(LABELS))
        self.kind = nn.Linear(FEATURES, len(KIND_NAMES))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.trunk(x * 2 - 1)
        x = torch.relu_(x + self.beside_norm(self.beside(x)))
        x = self.mix(x)
        whole = torch.relu(self.whole(x.mean(dim=(2, 3))))
        seen = (self.look(x) + self.where()).flatten(2).softmax(dim=2)  # N x slots x places
        found = seen @ x.flatten(2).transpose(1, 2) + whole[:, None] + self.slot_shift
        slots = self.label(torch.relu(self.slot(found)))
        return slots, self.kind(whole)

    def where(self) -> Tensor:
        """What each slot adds to every place's look (slots x 4 x 32).

        Bounded: one byte must tell small differences between places beside "surely not there".
        """
        return self.look_where.clamp(min=FARTHEST)


def _places() -> Tensor:
    """Where each slot looks before it has learnt better: the slots side by side along the window."""
    columns = torch.arange(GRID[1]) / (GRID[1] - 1)
    centres = (torch.arange(SLOTS) + 0.5) / SLOTS
    near = -((columns[None] - centres[:, None]) ** 2) / (2 * 0.08**2)
    return near[:, None].expand(SLOTS, *GRID).clone()


def trained(name: str, checkpoint: Path) -> Reader:
    """The reader `name` with the running averages that `checkpoint` holds."""
    reader = Reader(SHAPES[name])
    reader.load_state_dict(torch.load(checkpoint, weights_only=True)["averaged"])
    return reader.eval()
