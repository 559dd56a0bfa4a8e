"""What a camera's sensor adds to a scene: wind, softness, grain."""

import cv2
import numpy as np

from edged.picture import Image

_SPARE_PX = 64  # by so much may the grain be moved, so that no two frames have the same
_GREY = 128


class Sensor:
    """A sensor of that size, by day or with the gain of the night."""

    def __init__(self, width_px: int, height_px: int, *, is_day: bool, rng: np.random.Generator) -> None:
        height, width = height_px + _SPARE_PX, width_px + _SPARE_PX
        grain = rng.standard_normal((height, width), np.float32) * (2.2 if is_day else 4.5)
        tint = rng.standard_normal((height // 4, width // 4, 3), np.float32) * (1.2 if is_day else 3.0)
        noise = grain[..., None] + np.asarray(cv2.resize(tint, (width, height)), np.float32)
        self._noise = np.clip(np.rint(noise) + _GREY, 0, 255).astype(np.uint8)

    def frame(self, image: Image, rng: np.random.Generator) -> Image:
        """Return `image` as this sensor delivers it: shaken by the wind, a little soft, noisy."""
        (x_px, y_px), (height, width) = rng.integers(0, _SPARE_PX, 2), image.shape[:2]
        shift = rng.normal(0, 0.6, 2)
        matrix = np.array(((1, 0, shift[0]), (0, 1, shift[1])), np.float64)
        moved = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        soft = cv2.GaussianBlur(moved, (5, 5), float(rng.uniform(0.45, 0.75)))
        noise = self._noise[y_px : y_px + height, x_px : x_px + width]
        return np.asarray(cv2.addWeighted(soft, 1.0, noise, 1.0, -_GREY), np.uint8)
