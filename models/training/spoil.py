"""What a camera does to a whole picture: exposure, cast, night, glare, blur, noise, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from carriers import Picture

Rng = np.random.Generator


def spoil(rng: Rng, image: Picture) -> Picture:
    """The picture as some camera on some day would have taken it."""
    out = image.astype(np.float32)
    if rng.random() < 0.6:
        out = (out - 128) * rng.uniform(0.4, 1.35) + 128 + rng.normal(0, 22)
    if rng.random() < 0.35:
        out *= rng.uniform(0.75, 1.25, 3).astype(np.float32)
    if rng.random() < 0.2:
        out *= rng.uniform(0.1, 0.5)  # night
    if rng.random() < 0.08:
        out = np.repeat(out.mean(axis=2, keepdims=True), 3, axis=2)  # infrared, grey cameras
    if rng.random() < 0.2:
        _glare(rng, out)
    kind = rng.random()
    if kind < 0.22:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.4, 1.5)))
    elif kind < 0.34:
        out = cv2.filter2D(out, -1, _motion(rng))
    elif kind < 0.5:
        soft = cv2.GaussianBlur(out, (0, 0), 1.0)
        out = out + (out - soft) * float(rng.uniform(0.2, 1.5))  # in-camera sharpening
    if rng.random() < 0.5:
        out += rng.standard_normal(out.shape, np.float32) * np.float32(rng.uniform(1, 14))
    done = np.clip(out, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        ok, data = cv2.imencode(".jpg", done, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))])
        done = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8) if ok else done
    return done


def _glare(rng: Rng, image: npt.NDArray[np.float32]) -> None:
    h, w = image.shape[:2]
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    for _ in range(int(rng.integers(1, 3))):
        cx, cy, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(4, 0.2 * h)
        image += (rng.uniform(80, 300) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * r * r)))[:, :, None]


def _motion(rng: Rng) -> npt.NDArray[np.float32]:
    length = int(rng.integers(2, 7))
    kernel = np.zeros((length * 2 + 1,) * 2, np.float32)
    angle = rng.uniform(0, np.pi)
    d = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    centre = np.array([length, length])
    cv2.line(
        kernel,
        tuple(np.round(centre - d).astype(int).tolist()),
        tuple(np.round(centre + d).astype(int).tolist()),
        1,
    )
    return np.asarray(kernel / kernel.sum(), np.float32)
