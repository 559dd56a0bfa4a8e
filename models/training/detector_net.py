"""Detector and corner refiner as PyTorch networks, their targets and losses, and their export to TFLite.

Both take a picture whose rows are folded, some pixels to a channel vector: H x W/fold x 3 fold, a view of the
BGR bytes that costs nothing, because a stem on 3 channels is what an int8 kernel does worst. Values are
pixel/128 - 1, so that the quantized input is pixel - 128.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

DETECTOR_FOLD: Final = 6
REFINER_FOLD: Final = 4
STRIDES: Final = (12, 24)
# Widths in net px that each stride answers for; where they overlap, both do.
WIDTHS_PX: Final = ((0.0, 114.0), (66.0, 1e9))


class Unit(nn.Module):
    """Convolution + batch norm + optional ReLU6, padded as TensorFlow's SAME is."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        *,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(c_out, momentum=0.03)
        self.act = act
        pads = []
        for k, s in zip(reversed(kernel), reversed(stride), strict=True):
            total = max(k - s, 0)
            pads += [total // 2, total - total // 2]
        self.pads = pads

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(F.pad(x, self.pads) if any(self.pads) else x))
        return F.relu6(x) if self.act else x


class Block(nn.Module):
    """Depthwise + pointwise; with a residual where the shape stays."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 3, stride: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.residual = stride == (1, 1) and c_in == c_out
        self.depthwise = Unit(c_in, c_in, (kernel, kernel), stride, groups=c_in)
        self.pointwise = Unit(c_in, c_out, (1, 1), act=not self.residual)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pointwise(self.depthwise(x))
        return x + y if self.residual else y


class Detector(nn.Module):
    """Per stride: logits (plate, two rows) and eight corner offsets in strides, clockwise from top left."""

    def __init__(self, stem: int = 24, c8: int = 32, c16: int = 80, c32: int = 128) -> None:
        super().__init__()
        # One look at each square of 6 x 6 px: shrinking the picture first costs time and what is small.
        self.stem = Unit(3 * DETECTOR_FOLD, stem, (DETECTOR_FOLD, 1), (DETECTOR_FOLD, 1))
        self.down8 = Block(stem, c8, 3, (2, 2))
        self.body8 = nn.ModuleList([Block(c8, c8)])
        self.down16 = Block(c8, c16, 3, (2, 2))
        self.body16 = nn.ModuleList([Block(c16, c16, 5) for _ in range(2)])
        self.down32 = Block(c16, c32, 3, (2, 2))
        self.body32 = nn.ModuleList([Block(c32, c32, 5) for _ in range(2)])
        self.up16 = Unit(c32, c16, (1, 1), act=False)
        self.neck16 = Block(c16, c16)
        self.up8 = Unit(c16, c8, (1, 1), act=False)
        self.neck8 = Block(c8, c8)
        self.logits8, self.corners8 = nn.Conv2d(c8, 2, 1), nn.Conv2d(c8, 8, 1)
        self.logits16, self.corners16 = nn.Conv2d(c16, 2, 1), nn.Conv2d(c16, 8, 1)
        for head in (self.logits8, self.logits16):
            nn.init.constant_(head.bias, -4.0)
        for head in (self.corners8, self.corners16):
            nn.init.normal_(head.weight, 0, 0.01)

    def forward(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        x = self.down8(self.stem(x))
        for block in self.body8:
            x = block(x)
        p8 = x
        x = self.down16(x)
        for block in self.body16:
            x = block(x)
        p16 = x
        x = self.down32(x)
        for block in self.body32:
            x = block(x)
        p16 = self.neck16(F.relu6(p16 + F.interpolate(self.up16(x), scale_factor=2, mode="bilinear")))
        p8 = self.neck8(F.relu6(p8 + F.interpolate(self.up8(p16), scale_factor=2, mode="bilinear")))
        return [(self.logits8(p8), self.corners8(p8)), (self.logits16(p16), self.corners16(p16))]


class Refiner(nn.Module):
    """From a roughly rectified 128x64 patch: logits (plate, two rows), corner places in parts of it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Unit(3 * REFINER_FOLD, 24, (2, 1), (2, 1))
        self.body = nn.ModuleList(
            [
                Block(24, 24, 3),
                Block(24, 48, 3, (2, 2)),
                Block(48, 48, 5),
                Block(48, 64, 3, (2, 1)),
                Block(64, 64, 5),
                Block(64, 64, 5),
            ]
        )  # 8 rows x 16 columns
        self.squeeze = Unit(64, 24, (1, 1))
        self.hidden = nn.Linear(24 * 8 * 16, 64)
        self.out = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.body:
            x = block(x)
        x = self.squeeze(x).permute(0, 2, 3, 1).flatten(1)  # the order TensorFlow flattens in
        return self.out(F.relu6(self.hidden(x)))


def folded(images: Tensor, fold: int) -> Tensor:
    """Bytes B x H x W x 3 to the networks' input B x 3 fold x H x W/fold."""
    b, h, w, _ = images.shape
    x = images.reshape(b, h, w // fold, 3 * fold).permute(0, 3, 1, 2).float()
    return x / 128 - 1


def cell_centres(height: int, width: int, stride: int) -> Tensor:
    """H*W x 2 (x, y) px."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (torch.stack([x, y], -1).reshape(-1, 2).float() + 0.5) * stride


def level_targets(
    quads: Tensor, present: Tensor, ignored: Tensor, centres: Tensor, stride: int, widths: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor]:
    """For one stride: heat in 0-1 (B x N), the plate each cell belongs to, and weight 0 where not judged.

    quads B x M x 4 x 2; present 1 plate, 0 padding; ignored 1 where the quad is neither plate nor background.
    """
    centre = quads.mean(2)
    across = (quads[:, :, 1] + quads[:, :, 2] - quads[:, :, 0] - quads[:, :, 3]) / 2
    down = (quads[:, :, 2] + quads[:, :, 3] - quads[:, :, 0] - quads[:, :, 1]) / 2
    width, height = across.norm(dim=-1).clamp(min=1), down.norm(dim=-1).clamp(min=1)
    delta = centres[None, None] - centre[:, :, None]  # B x M x N x 2
    det = (across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]).abs().clamp(min=1)[..., None]
    # Distance along the plate's own axes, px.
    u = (delta[..., 0] * down[:, :, None, 1] - delta[..., 1] * down[:, :, None, 0]) / det * width[..., None]
    v = (
        (delta[..., 1] * across[:, :, None, 0] - delta[..., 0] * across[:, :, None, 1])
        / det
        * height[..., None]
    )
    sigma_u = (0.12 * width).clamp(min=0.5 * stride)[..., None]
    sigma_v = (0.20 * height).clamp(min=0.5 * stride)[..., None]
    heat = torch.exp(-0.5 * ((u / sigma_u) ** 2 + (v / sigma_v) ** 2))
    # The cell nearest to a plate's centre is its own, wherever the grid falls.
    nearest = torch.zeros_like(heat).scatter_(2, (delta**2).sum(-1).argmin(-1, keepdim=True), 1.0)
    heat = torch.maximum(heat, nearest)
    answers = ((width >= widths[0]) & (width <= widths[1]) & (present > 0) & (ignored == 0))[..., None]
    inside = (u.abs() < width[..., None] * 0.7) & (v.abs() < height[..., None] * 0.8)
    unjudged = (inside & ~answers & (present > 0)[..., None]).any(1)
    # Another stride's plate is judged there as background only outside it: a strong hit does no harm.
    best, index = (heat * answers).max(1)
    weight = torch.where(unjudged & (best < 0.3), 0.0, 1.0)
    return best, index, weight


def detector_loss(
    outputs: list[tuple[Tensor, Tensor]], quads: Tensor, present: Tensor, rows: Tensor, ignored: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Focal loss on heat, Huber on corners relative to the plate's height, cross-entropy on rows."""
    heat_loss = corner_loss = rows_loss = torch.zeros(())
    total = torch.zeros(())
    for (logits, corners), stride, widths in zip(outputs, STRIDES, WIDTHS_PX, strict=True):
        b, _, h, w = logits.shape
        centres = cell_centres(h, w, stride)
        heat, index, weight = level_targets(quads, present, ignored, centres, stride, widths)
        flat = logits.permute(0, 2, 3, 1).reshape(b, h * w, 2)
        p = torch.sigmoid(flat[..., 0])
        bce = F.binary_cross_entropy_with_logits(flat[..., 0], heat, reduction="none")
        focal = (heat - p).abs().pow(2) * bce * weight * (1 + 3 * heat)
        heat_loss = heat_loss + focal.sum()
        hit = (heat > 0.35).nonzero(as_tuple=True)
        if len(hit[0]):
            quad = quads[hit[0], index[hit]]
            size = (quad[:, 3] - quad[:, 0]).norm(dim=-1) + (quad[:, 2] - quad[:, 1]).norm(dim=-1)
            aim = (quad - centres[hit[1]][:, None]) / stride
            got = corners.permute(0, 2, 3, 1).reshape(b, h * w, 4, 2)[hit]
            scaled = (got - aim) * stride / (0.05 * size + 0.9)[:, None, None]
            error = F.smooth_l1_loss(scaled, torch.zeros_like(scaled), reduction="none").mean((1, 2))
            corner_loss = corner_loss + (error * heat[hit]).sum()
            truth = (rows[hit[0], index[hit]] == 2).float()
            doubt = F.binary_cross_entropy_with_logits(flat[..., 1][hit], truth, reduction="none")
            rows_loss = rows_loss + (doubt * heat[hit]).sum()
            total = total + heat[hit].sum()
    n = total.clamp(min=1)
    loss = 2.0 * heat_loss / n + 0.5 * corner_loss / n + 0.2 * rows_loss / n
    parts = {"heat": heat_loss, "corners": corner_loss, "rows": rows_loss}
    return loss, {name: float(part.detach() / n) for name, part in parts.items()}


def fused(unit: Unit) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The convolution's kernel and bias with its batch norm folded in; kernel as TensorFlow lays it out."""
    scale = unit.norm.weight / torch.sqrt(unit.norm.running_var + unit.norm.eps)
    kernel = (unit.conv.weight * scale[:, None, None, None]).detach().numpy()
    bias = (unit.norm.bias - unit.norm.running_mean * scale).detach().numpy()
    depthwise = unit.conv.groups > 1
    return kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0), bias


def rows_of(linear: nn.Linear, first: int, end: int) -> nn.Linear:
    """The part of a layer that makes its outputs from `first` to before `end`."""
    part = nn.Linear(linear.in_features, end - first)
    part.load_state_dict({name: value[first:end] for name, value in linear.state_dict().items()})
    return part


class Twin:
    """Builds the Keras twin of the PyTorch networks, weights copied, batch norm folded."""

    def __init__(self, keras: Any) -> None:
        self.keras = keras

    def unit(self, unit: Unit, x: Any) -> Any:
        layers = self.keras.layers
        kernel, bias = fused(unit)
        size, stride = unit.conv.kernel_size, unit.conv.stride
        if unit.conv.groups > 1:
            layer = layers.DepthwiseConv2D(size, strides=stride, padding="same")
        else:
            layer = layers.Conv2D(unit.conv.out_channels, size, strides=stride, padding="same")
        y = layer(x)
        layer.set_weights([kernel, bias])
        return layers.ReLU(6.0)(y) if unit.act else y

    def block(self, block: Block, x: Any) -> Any:
        y = self.unit(block.pointwise, self.unit(block.depthwise, x))
        return self.keras.layers.Add()([x, y]) if block.residual else y

    def head(self, conv: nn.Conv2d, x: Any) -> Any:
        layer = self.keras.layers.Conv2D(conv.out_channels, 1)
        y = layer(x)
        layer.set_weights([conv.weight.detach().numpy().transpose(2, 3, 1, 0), conv.bias.detach().numpy()])
        return y

    def dense(self, linear: nn.Linear, x: Any, *, act: bool) -> Any:
        layer = self.keras.layers.Dense(linear.out_features)
        y = layer(x)
        layer.set_weights([linear.weight.detach().numpy().T, linear.bias.detach().numpy()])
        return self.keras.layers.ReLU(6.0)(y) if act else y

    def upsampled(self, x: Any) -> Any:
        _, h, w, _ = x.shape
        return self.keras.layers.Resizing(h * 2, w * 2, interpolation="bilinear")(x)

    def detector(self, net: Detector, height: int, width: int) -> Any:
        layers = self.keras.layers
        picture = layers.Input((height, width // DETECTOR_FOLD, 3 * DETECTOR_FOLD), batch_size=1)
        x = self.block(net.down8, self.unit(net.stem, picture))
        for block in net.body8:
            x = self.block(block, x)
        p8 = x
        x = self.block(net.down16, x)
        for block in net.body16:
            x = self.block(block, x)
        p16 = x
        x = self.block(net.down32, x)
        for block in net.body32:
            x = self.block(block, x)
        p16 = layers.ReLU(6.0)(layers.Add()([p16, self.upsampled(self.unit(net.up16, x))]))
        p16 = self.block(net.neck16, p16)
        p8 = layers.ReLU(6.0)(layers.Add()([p8, self.upsampled(self.unit(net.up8, p16))]))
        p8 = self.block(net.neck8, p8)
        outputs = [
            self.head(net.logits8, p8),
            self.head(net.corners8, p8),
            self.head(net.logits16, p16),
            self.head(net.corners16, p16),
        ]
        return self.keras.Model(picture, outputs)

    def refiner(self, net: Refiner) -> Any:
        layers = self.keras.layers
        patch = layers.Input((64, 128 // REFINER_FOLD, 3 * REFINER_FOLD), batch_size=1)
        x = self.unit(net.stem, patch)
        for block in net.body:
            x = self.block(block, x)
        hidden = self.dense(net.hidden, layers.Flatten()(self.unit(net.squeeze, x)), act=True)
        # Two outputs: in one, the logits' range would leave the places steps of 7% of the patch.
        logits, places = rows_of(net.out, 0, 2), rows_of(net.out, 2, 10)
        return self.keras.Model(patch, [self.dense(part, hidden, act=False) for part in (logits, places)])


def write_tflite(model: Any, representative: np.ndarray[Any, Any], path: Path) -> None:
    """Full-integer int8; the representative set is folded float pictures (N x H x W/fold x 3 fold)."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([picture[None]] for picture in representative)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    path.write_bytes(converter.convert())
