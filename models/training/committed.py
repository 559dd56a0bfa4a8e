"""Training goes on from a committed .tflite file: its integers back into the PyTorch network they came from.

Checkpoints are never committed, the exported files are. What is lost is a weight's last half step of 255. A
larger network takes a smaller one's weights too: new channels have no say at first, new blocks none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from detector_net import Unit
from reader_net import Light, Reader, Residual, Shape
from torch import Tensor, nn

Array = npt.NDArray[np.float32]


def constants(path: Path) -> list[Array]:
    """Weights and biases of a full-integer file as real numbers, in the order in which it uses them."""
    # Only TensorFlow brings the file format's schema along.
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    graph = model.subgraphs[0]
    found = []
    for operator in graph.operators:
        for index in operator.inputs:
            tensor = graph.tensors[index]
            data = model.buffers[tensor.buffer].data
            if data is not None and tensor.quantization is not None and tensor.quantization.scale is not None:
                found.append(_real(tensor, data, schema))
    return found


def _real(tensor: Any, data: Any, schema: Any) -> Array:
    dtype = np.int8 if tensor.type == schema.TensorType.INT8 else np.int32
    values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), dtype).reshape(tensor.shape)
    form = tensor.quantization
    along = [1] * values.ndim
    along[form.quantizedDimension] = -1
    scale, zero = np.asarray(form.scale, np.float32), np.asarray(form.zeroPoint)
    return np.asarray((values - zero.reshape(along)) * scale.reshape(along), np.float32)


def begin_from(path: Path, net: nn.Module, pictures: Tensor) -> None:
    """Give a detector or refiner an exported one's weights, ready to be trained on the like of `pictures`."""
    _restore_units(net, path)
    settle(net, pictures)


def _restore_units(net: nn.Module, path: Path) -> None:
    """Their layers are defined in the order in which they are used."""
    values = iter(constants(path))
    for layer in _layers(net):
        kernel, bias = torch.from_numpy(next(values)), torch.from_numpy(next(values))
        if isinstance(layer, Unit):
            _fill(layer.conv, layer.norm, kernel, bias)
            continue
        while len(bias) < layer.bias.shape[0]:  # one layer that was exported as two outputs
            kernel = torch.cat([kernel, torch.from_numpy(next(values))])
            bias = torch.cat([bias, torch.from_numpy(next(values))])
        layer.weight.data.copy_(kernel if isinstance(layer, nn.Linear) else kernel.permute(0, 3, 1, 2))
        layer.bias.data.copy_(bias)


def _layers(net: nn.Module) -> list[Any]:
    inside = {id(part) for unit in net.modules() if isinstance(unit, Unit) for part in unit.children()}
    kinds = (Unit, nn.Conv2d, nn.Linear)
    return [layer for layer in net.modules() if isinstance(layer, kinds) and id(layer) not in inside]


def _fill(conv: nn.Conv2d, norm: nn.BatchNorm2d, kernel: Tensor, bias: Tensor) -> None:
    """A convolution with its norm folded in: until `settled`, the norm only adds the bias."""
    order = (3, 0, 1, 2) if conv.groups > 1 else (0, 3, 1, 2)
    conv.weight.data.copy_(kernel.permute(order))
    norm.running_mean.zero_()  # type: ignore[union-attr, operator]
    norm.running_var.fill_(1 - norm.eps)  # type: ignore[union-attr, operator]
    norm.weight.data.fill_(1)
    norm.bias.data.copy_(bias)


def _fill_dense(layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    layer.weight.data.copy_(weight)
    layer.bias.data.copy_(bias)


def shape_of(path: Path) -> Shape:
    """The shape of an exported reader, as its kernels tell it."""
    sizes = [value.shape for value in constants(path) if value.ndim == 4][1:]
    low, high = sizes[0][0], next(size[3] for size in sizes if size[1:3] == (1, 9))

    def blocks(channels: int) -> tuple[type[Residual | Light], ...]:
        square = [size for size in sizes if size[1:] == (3, 3, channels) and size[0] in (1, channels)]
        return tuple(Light if size[0] == 1 else Residual for size in square)

    return Shape(low=low, low_blocks=blocks(low), high=high, high_blocks=blocks(high))


def restored_reader(path: Path) -> Reader:
    """The network that an exported reader came from."""
    reader = Reader(shape_of(path))
    values = [torch.from_numpy(value) for value in constants(path)]
    pairs: list[tuple[Any, Any]] = []
    for block in reader.trunk:
        if isinstance(block, nn.Sequential):
            pairs.append((block[0], block[1]))
            continue
        if isinstance(block, Light):
            pairs.append((block.deep, block.deep_norm))
        pairs.append((block.conv, block.norm))
    pairs += [(reader.beside, reader.beside_norm), (reader.mix[0], reader.mix[1])]
    for conv, norm in pairs:
        _fill(conv, norm, values.pop(0), values.pop(0))
    reader.look.weight.data.copy_(values.pop(0).permute(0, 3, 1, 2))
    reader.look.bias.data.copy_(values.pop(0))
    reader.look_where.data.copy_(values.pop(0)[0].T.reshape(reader.look_where.shape))
    for layer in (reader.whole, reader.kind):
        _fill_dense(layer, values.pop(0), values.pop(0))
    reader.slot_shift.data.copy_(values.pop(0)[0])
    for layer in (reader.slot, reader.label):
        _fill_dense(layer, values.pop(0), values.pop(0))
    return reader.eval()


def settle(net: nn.Module, pictures: Tensor) -> None:
    """Give every norm that only adds a bias the mean and spread that it meets on `pictures`.

    What the network says stays the same; from here on it can be trained.
    """
    norms = [norm for norm in net.modules() if isinstance(norm, nn.BatchNorm2d) and norm.weight.data.any()]
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def measure(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[norm] = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))

    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    net.eval()
    with torch.no_grad():
        net(pictures)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        mean, spread = seen[norm]
        spread = spread + 1e-3  # a channel that is nearly dead would come to life
        gain = norm.weight.data / torch.sqrt(norm.running_var + norm.eps)  # type: ignore[operator, arg-type]
        norm.bias.data += (mean - norm.running_mean) * gain  # type: ignore[operator]
        norm.weight.data = gain * torch.sqrt(spread + norm.eps)
        norm.running_mean.copy_(mean)  # type: ignore[union-attr, operator]
        norm.running_var.copy_(spread)  # type: ignore[union-attr, operator]


def grow(larger: nn.Module, smaller: nn.Module) -> None:
    """Put the smaller network's weights into the larger one's first channels.

    What new channels say counts for nothing at first; layers that the smaller one lacks stay as made.
    """
    ours, theirs = larger.state_dict(), smaller.state_dict()
    for name, value in theirs.items():
        target = ours[name]
        if not value.ndim:
            target.copy_(value)
            continue
        if value.ndim >= 2 and target.shape[1] > value.shape[1]:
            target[: value.shape[0], value.shape[1] :] = 0
        target[tuple(slice(0, side) for side in value.shape)] = value
    larger.load_state_dict(ours)
