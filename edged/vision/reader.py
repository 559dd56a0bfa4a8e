"""Reading one window: the network's integers to calibrated distributions over characters and kinds."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.domain.reading import SlotProbabilities
from edged.picture import Image
from edged.vision.errors import INSTALL_ONE_RELEASE, ModelMismatch
from edged.vision.manifest import ReaderSpec
from edged.vision.rectifier import levelled
from edged.vision.runtime import Model


class Reader:
    """Reads windows of `height_px` x `width_px`, BGR."""

    def __init__(self, model: Model, spec: ReaderSpec) -> None:
        _, self.height_px, self.width_px, _ = model.input_shape
        shapes = {output.shape[-1]: i for i, output in enumerate(model.outputs)}
        try:
            self._slots, self._kinds = shapes[len(spec.labels)], shapes[len(spec.kinds)]
        except KeyError as exc:
            raise ModelMismatch(
                str(spec.model.path),
                f"no output of {exc.args[0]} values as manifest.json lists",
                INSTALL_ONE_RELEASE,
            ) from exc
        self._model = model
        self._spec = spec

    def read(self, window: Image) -> SlotProbabilities:
        """Return the calibrated probabilities of one window."""
        level = levelled(window, self._spec.framing.levels)
        values = self._model.run(np.ascontiguousarray(level[:, :, ::-1]))  # taught on RGB
        slots = self._calibrated(values, self._slots, self._spec.temperature)
        (kinds,) = self._calibrated(values, self._kinds, 1.0)
        return SlotProbabilities(
            slots=tuple(tuple(slot) for slot in slots.tolist()),
            kinds=dict(zip(self._spec.kinds, kinds.tolist(), strict=True)),
        )

    def _calibrated(
        self, values: list[NDArray[np.int8]], index: int, temperature: float
    ) -> NDArray[np.float64]:
        form = self._model.outputs[index]
        logits = values[index].astype(np.float64).reshape(-1, form.shape[-1]) * (form.scale / temperature)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def sharpness(window: Image) -> float:
    """Return how much fine detail a window shows: the Laplacian's variance relative to the picture's own."""
    grey = cv2.cvtColor(window, cv2.COLOR_BGR2GRAY)
    (_, coarse), (_, fine) = cv2.meanStdDev(grey), cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    return float(fine[0, 0] ** 2 / (coarse[0, 0] ** 2 + 25.0))
