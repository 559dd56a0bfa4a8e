"""The TFLite runtime: LiteRT where it is installed, else tflite-runtime; checked models only.

The same file gives nearly the same integers on both, not the same: LiteRT's kernels (XNNPACK) rescale a sum
in floating point, tflite-runtime's in fixed point. A layer may differ by one step, a reader's answer by five
of 255. A doubtful plate may so be accepted on one runtime only; `make bench-plates` counts such plates.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edged.vision.errors import INSTALL_ONE_RELEASE, ModelMismatch, ModelMissing, RuntimeMissing

Int8 = NDArray[np.int8]


class Runtime(StrEnum):
    """Both have one interface; LiteRT is the maintained one and about 20 times faster on x86-64."""

    LITERT = "ai-edge-litert"
    TFLITE = "tflite-runtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output tensor: real value = (integer - zero_point) * scale."""

    index: int
    shape: tuple[int, ...]
    scale: float
    zero_point: int


class Model:
    """One loaded full-integer model. Not for use by two threads at once."""

    def __init__(self, path: Path, sha256: str, *, threads: int = 1, runtime: Runtime | None = None) -> None:
        """Load `path` after checking it.

        Raises ModelMissing, ModelMismatch or RuntimeMissing.
        """
        data = checked_bytes(path, sha256)
        self.runtime, interpreter_type = _interpreter_type(runtime)
        try:
            with _without_native_chatter():
                self._interpreter = interpreter_type(model_content=data, num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as exc:
            raise ModelMismatch(
                str(path), f"{self.runtime} cannot load this model: {exc}", INSTALL_ONE_RELEASE
            ) from exc
        (picture,) = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        if picture["dtype"] not in (np.int8, np.uint8) or any(o["dtype"] is not np.int8 for o in outputs):
            raise ModelMismatch(
                str(path), "not a full-integer model", "export it again with integer input and output"
            )
        self._input = int(picture["index"])
        self._signed = picture["dtype"] is np.int8
        self.input_shape = tuple(int(n) for n in picture["shape"])
        self.outputs = tuple(_output(details) for details in outputs)

    def run(self, pixels: NDArray[np.uint8]) -> list[Int8]:
        """Return the outputs' integers, in the order of `outputs`.

        `pixels` are the bytes of the picture, as many as `input_shape` holds: all models here are quantized
        so that their input is the byte itself, or the byte - 128 where it is signed.
        """
        # Flipping the highest bit subtracts 128, modulo 256.
        values = np.bitwise_xor(pixels, np.uint8(128)).view(np.int8) if self._signed else pixels
        self._interpreter.set_tensor(self._input, values.reshape(self.input_shape))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(output.index) for output in self.outputs]


def checked_bytes(path: Path, sha256: str) -> bytes:
    """Return the file's bytes if their hash is `sha256`.

    Raises ModelMissing or ModelMismatch.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ModelMissing(
            str(path), exc.strerror or str(exc), "install the models or set model.directory"
        ) from exc
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelMismatch(str(path), f"sha256 is {found}, manifest.json says {sha256}", INSTALL_ONE_RELEASE)
    return data


def available_runtimes() -> tuple[Runtime, ...]:
    """Return the runtimes that can be imported here, the preferred one first."""
    found = []
    for runtime in Runtime:
        try:
            _interpreter_type(runtime)
        except RuntimeMissing:
            continue
        found.append(runtime)
    return tuple(found)


def chosen_runtime(wanted: Runtime | None) -> tuple[Runtime, str | None]:
    """Return the runtime that models get, and why it is not the preferred one.

    The reason is None when it is, or when it was asked for.
    """
    runtime, _ = _interpreter_type(wanted)
    if wanted is not None or runtime is Runtime.LITERT:
        return runtime, None
    try:
        _interpreter_type(Runtime.LITERT)
    except RuntimeMissing as missing:
        return runtime, missing.trouble.cause
    return runtime, None


def version_of(runtime: Runtime) -> str:
    """Return the runtime's name and version."""
    return f"{runtime.value} {metadata.version(runtime.value)}"


def _interpreter_type(wanted: Runtime | None) -> tuple[Runtime, Any]:
    if wanted in (None, Runtime.LITERT):
        try:
            from ai_edge_litert.interpreter import Interpreter

            return Runtime.LITERT, Interpreter
        except ImportError as exc:
            if wanted is Runtime.LITERT:
                raise RuntimeMissing(
                    "", f"ai-edge-litert cannot be imported ({exc})", "pip install ai-edge-litert"
                ) from exc
    try:
        from tflite_runtime.interpreter import Interpreter as OldInterpreter
    except ImportError as exc:
        raise RuntimeMissing(
            "", f"no TFLite runtime can be imported ({exc})", "pip install ai-edge-litert"
        ) from exc
    return Runtime.TFLITE, OldInterpreter


def _output(details: dict[str, Any]) -> Output:
    scale, zero_point = details["quantization"]
    return Output(
        index=int(details["index"]),
        shape=tuple(int(n) for n in details["shape"]),
        scale=float(scale),
        zero_point=int(zero_point),
    )


@contextmanager
def _without_native_chatter() -> Iterator[None]:
    """Keep "Created TensorFlow Lite XNNPACK delegate" off stderr: the runtime has no other switch for it."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - a device, not a path
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
