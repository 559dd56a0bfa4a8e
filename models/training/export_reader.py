"""Export a reader as full-integer TFLite: python models/training/export_reader.py

The trained weights are written into a twin made of plain TensorFlow operations with batch norm folded into
the convolutions; the converter quantizes that twin on a few hundred windows. The input is the raw RGB byte:
its scale and zero point are those of 0..255 on -1..1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import torch
from reader_config import load_config
from reader_net import GRID, SHAPES, Light, Reader, Residual, trained
from torch import nn

Array = npt.NDArray[np.float32]


def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Array, Array]:
    """Kernel (HWIO; HWC1 when depthwise) and bias of a convolution with its batch norm in it."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)  # type: ignore[operator, arg-type]
    kernel = (convolution.weight * scale[:, None, None, None]).detach().numpy()
    bias = (norm.bias - norm.running_mean * scale).detach().numpy()  # type: ignore[operator]
    order = (2, 3, 0, 1) if convolution.groups > 1 else (2, 3, 1, 0)
    return np.ascontiguousarray(kernel.transpose(order)), bias


def convolved(x: tf.Tensor, weights: tuple[Array, Array], stride: tuple[int, int] = (1, 1)) -> tf.Tensor:
    if stride != (1, 1):
        # TensorFlow's own padding of strided layers is not PyTorch's.
        x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    padding = "SAME" if stride == (1, 1) else "VALID"
    return tf.nn.conv2d(x, weights[0], stride, padding) + weights[1]


def channelwise(x: tf.Tensor, weights: tuple[Array, Array]) -> tf.Tensor:
    return tf.nn.depthwise_conv2d(x, weights[0], (1, 1, 1, 1), "SAME") + weights[1]


def layer(block: nn.Module) -> Callable[[tf.Tensor], tf.Tensor]:
    """One layer of the trunk as TensorFlow operations."""
    if isinstance(block, Residual):
        weights = folded(block.conv, block.norm)
        return lambda x: tf.nn.relu(x + convolved(x, weights))
    if isinstance(block, Light):
        deep, flat = folded(block.deep, block.deep_norm), folded(block.conv, block.norm)
        return lambda x: tf.nn.relu(x + convolved(tf.nn.relu(channelwise(x, deep)), flat))
    convolution, norm = block[0], block[1]  # type: ignore[index]
    weights, stride = folded(convolution, norm), convolution.stride
    return lambda x: tf.nn.relu(convolved(x, weights, stride))


def twin(reader: Reader) -> tf.Module:
    """The reader for one window as TensorFlow operations: float (1, 32, 128, 3) in -1..1 to both logits."""
    reader = reader.eval()
    trunk = [layer(block) for block in reader.trunk]
    beside = folded(reader.beside, reader.beside_norm)
    mix = folded(reader.mix[0], reader.mix[1])  # type: ignore[arg-type]
    dense = {
        name: (
            getattr(reader, name).weight.detach().numpy().T.copy(),
            getattr(reader, name).bias.detach().numpy(),
        )
        for name in ("whole", "slot", "label", "kind")
    }
    look = reader.look.weight.detach().numpy().transpose(2, 3, 1, 0).copy()
    look_bias = reader.where().detach() + reader.look.bias.detach()[:, None, None]  # type: ignore[index]
    where = look_bias.numpy().reshape(1, -1, GRID[0] * GRID[1])
    shift = reader.slot_shift.detach().numpy()[None]

    class Twin(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((1, 32, 128, 3), tf.float32, name="window")])  # type: ignore
        def read(self, window: tf.Tensor) -> dict[str, tf.Tensor]:
            x = window
            for apply in trunk:
                x = apply(x)
            x = tf.nn.relu(x + channelwise(x, beside))
            x = tf.nn.relu(convolved(x, mix))
            mean = tf.reduce_mean(x, axis=[1, 2])
            whole = tf.nn.relu(tf.matmul(mean, dense["whole"][0]) + dense["whole"][1])
            places = GRID[0] * GRID[1]
            looks = tf.reshape(tf.nn.conv2d(x, look, 1, "SAME"), (1, places, -1))
            seen = tf.nn.softmax(tf.transpose(looks, (0, 2, 1)) + where)
            # Multiplied and added up apart: tflite-runtime's product of two activations wraps on ARM cores
            # without dot product instructions, because it adds two int8 products in 16 bits.
            parts = seen[:, :, :, None] * tf.reshape(x, (1, 1, places, -1))
            found = tf.reduce_sum(parts, axis=2) + whole[:, None] + shift
            flat = tf.reshape(found, (-1, found.shape[2]))
            slot = tf.nn.relu(tf.matmul(flat, dense["slot"][0]) + dense["slot"][1])
            slots = tf.matmul(slot, dense["label"][0]) + dense["label"][1]
            kind = tf.matmul(whole, dense["kind"][0]) + dense["kind"][1]
            return {"slots": slots, "kind": kind}

    return Twin()


def quantized(module: tf.Module, windows: npt.NDArray[np.uint8]) -> bytes:
    """Full-integer TFLite bytes, calibrated on RGB windows (N x 32 x 128 x 3)."""

    def representative() -> Iterator[list[Array]]:
        extremes = np.zeros_like(windows[:1])
        extremes[:, ::2] = 255  # so that the input's range is exactly that of a byte
        for window in np.concatenate([windows, extremes]):
            yield [window[None].astype(np.float32) / np.float32(127.5) - 1]

    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.read.get_concrete_function()], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def representative_windows(folder: Path, count: int, seed: int) -> npt.NDArray[np.uint8]:
    """Degraded real windows of training, drawn at random; never validation pictures.

    Synthetic ones are left out: their extremes widen the ranges, which cost about one point of plates on
    the validation pictures where real windows alone cost none.
    """
    rng = np.random.default_rng(seed)
    windows = np.load(sorted(folder.glob("real_*.npz"))[0])["windows"]
    return np.asarray(windows[rng.integers(0, len(windows), count)], np.uint8)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("models/training/config.toml"))
    parser.add_argument("--name", choices=sorted(SHAPES), default="reader")
    parser.add_argument("--checkpoint", type=Path, default=None, help="default: the last one of training")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.name)
    network = trained(config.name, arguments.checkpoint or config.checkpoint)
    out = arguments.out or Path(f"models/plate_{config.name}.tflite")
    out.write_bytes(quantized(twin(network), representative_windows(config.folder, 600, config.seed)))
    print(f"{out}: {out.stat().st_size} bytes")
