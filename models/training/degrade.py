"""What ruins real plates, one small function each, on BGR uint8 pictures.

`weathered` works on the flat plate (dirt, shadow, glare, frames), `placed` puts it before a camera at an
angle, `exposed` and `filmed` are the light and the camera. Every strength is drawn from `rng`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Quad = npt.NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A picture with one plate in it: its corners (4x2 px, clockwise from top left)."""

    picture: Picture
    quad: Quad


def weathered(flat: Picture, rng: Rng) -> Picture:
    """Dirt, shadows, glare, rain, a frame or badge on a flat plate; most plates get none or one of them."""
    out = flat
    if rng.random() < 0.25:
        out = _scaled_by(out, _cloud(out.shape[:2], rng, low=float(rng.uniform(0.35, 0.9)), high=1.1))
    if rng.random() < 0.15:
        out = _shadowed(out, rng)
    if rng.random() < 0.12:
        out = _glared(out, rng)
    if rng.random() < 0.15:
        out = _dirtied(out, rng)
    if rng.random() < 0.2:
        out = _framed(out, rng)
    if rng.random() < 0.05:
        out = _rained(out, rng)
    return out


def _cloud(shape: tuple[int, int], rng: Rng, low: float, high: float) -> npt.NDArray[np.float32]:
    """A smooth field between low and high: uneven light or soiling."""
    grid = rng.uniform(low, high, (int(rng.integers(2, 5)), int(rng.integers(2, 8)))).astype(np.float32)
    return np.asarray(cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def _scaled_by(picture: Picture, field: npt.NDArray[np.float32]) -> Picture:
    return np.asarray(np.clip(picture * field[:, :, None], 0, 255), np.uint8)


def _shadowed(picture: Picture, rng: Rng) -> Picture:
    """Hard-edged shadows of branches, poles and the car itself."""
    height, width = picture.shape[:2]
    light = np.ones((height, width), np.float32)
    dark = float(rng.uniform(0.3, 0.75))
    if rng.random() < 0.4:
        x = rng.uniform(-0.2, 1.2, 2) * width
        edge = np.asarray([[x[0], 0], [x[1], height], [width * 2, height], [width * 2, 0]], np.int32)
        cv2.fillPoly(light, [edge], dark)
    else:
        for _ in range(int(rng.integers(1, 6))):
            ends = (rng.uniform(-0.1, 1.1, (2, 2)) * (width, height)).astype(int)
            thickness = int(rng.integers(2, max(3, height // 4)))
            cv2.line(
                light, (int(ends[0, 0]), int(ends[0, 1])), (int(ends[1, 0]), int(ends[1, 1])), dark, thickness
            )
    return _scaled_by(
        picture, np.asarray(cv2.GaussianBlur(light, (0, 0), float(rng.uniform(0.5, 3))), np.float32)
    )


def _glared(picture: Picture, rng: Rng) -> Picture:
    """A bright spot of a headlight, flash or low sun."""
    height, width = picture.shape[:2]
    spot = np.zeros((height, width), np.float32)
    centre = (int(rng.uniform(-0.1, 1.1) * width), int(rng.uniform(-0.3, 1.3) * height))
    cv2.circle(spot, centre, int(rng.uniform(0.1, 0.35) * width), float(rng.uniform(60, 200)), -1)
    spot = np.asarray(cv2.blur(spot, (width // 3 | 1, height // 2 | 1)), np.float32)
    return np.asarray(np.clip(picture + spot[:, :, None], 0, 255), np.uint8)


def _dirtied(picture: Picture, rng: Rng) -> Picture:
    """Splashes of mud and chipped paint, small beside a character's strokes or about their width."""
    out = picture.copy()
    height, width = out.shape[:2]
    for _ in range(int(rng.integers(2, 20))):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        colour = rng.integers(20, 200) + rng.integers(-20, 20, 3)
        axes = (int(rng.integers(1, 2 + height // 20)), int(rng.integers(1, 2 + height // 20)))
        cv2.ellipse(
            out, centre, axes, float(rng.uniform(0, 180)), 0, 360, [int(c) for c in colour], -1, cv2.LINE_AA
        )
    return out


def _framed(picture: Picture, rng: Rng) -> Picture:
    """A holder over the plate's edges, or a dealer's badge over a rim; never over a character's body."""
    out = picture.copy()
    height, width = out.shape[:2]
    shade = [int(c) for c in np.clip(rng.integers(0, 255) + rng.integers(-25, 25, 3), 0, 255)]
    for edge in rng.permutation(4)[: int(rng.integers(1, 5))]:
        deep = max(1, int(rng.uniform(0.02, 0.11) * height))
        if edge == 0:
            out[:deep] = shade
        elif edge == 1:
            out[-deep:] = shade
        elif edge == 2:
            out[:, :deep] = shade
        else:
            out[:, -deep:] = shade
    if rng.random() < 0.5:
        ink = (int(rng.integers(0, 255)),) * 3
        at = (int(rng.uniform(0.1, 0.6) * width), height - 1)
        cv2.putText(out, "AUTO 4S", at, cv2.FONT_HERSHEY_SIMPLEX, height / 350, ink, 1, cv2.LINE_AA)
    return out


def _rained(picture: Picture, rng: Rng) -> Picture:
    out = picture.copy()
    height, width = out.shape[:2]
    lean = rng.normal(0, 0.2)
    for _ in range(int(rng.integers(10, 40))):
        x, y, length = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.05, 0.25) * height
        end = (int(x + lean * length), int(y + length))
        cv2.line(out, (int(x), int(y)), end, (int(rng.integers(150, 240)),) * 3, 1, cv2.LINE_AA)
    return np.asarray(cv2.addWeighted(out, 0.6, picture, 0.4, 0), np.uint8)


def placed(flat: Picture, width_px: float, rng: Rng) -> Shot:
    """The plate before the camera: turned, sheared, in perspective, sometimes bent, on bodywork."""
    aspect = flat.shape[0] / flat.shape[1] * float(rng.uniform(0.8, 1.15))
    half = np.asarray([[-1, -aspect], [1, -aspect], [1, aspect], [-1, aspect]], np.float32) * (width_px / 2)
    strong = rng.random() < 0.4
    angle = math.radians(float(rng.normal(0, 9 if strong else 2.5)))
    shear = float(rng.normal(0, 0.25 if strong else 0.08))
    turn = np.asarray([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    # Seen from the side, a plate's upper and lower edge slant while its ends stay upright.
    fall = float(rng.normal(0, 0.16 if strong else 0.04))
    quad = half @ np.asarray([[1, fall], [shear, 1]]) @ turn.T
    quad += rng.normal(0, 0.02 if strong else 0.008, (4, 2)) * width_px
    low, high = quad.min(axis=0), quad.max(axis=0)
    room = np.asarray([0.16, 0.1]) * width_px + 3
    quad = (quad - low + room).astype(np.float32)
    width, height = (int(v) for v in high - low + 2 * room)
    if rng.random() < 0.12:
        flat = _bent(flat, rng)
    shrink = width_px / flat.shape[1]
    if shrink < 0.8:
        size = (max(8, round(flat.shape[1] * shrink)), max(4, round(flat.shape[0] * shrink)))
        flat = np.asarray(cv2.resize(flat, size, interpolation=cv2.INTER_AREA), np.uint8)
    ground = bodywork(width, height, rng)
    return Shot(picture=overlaid(flat, quad, ground), quad=quad)


def overlaid(flat: Picture, quad: Quad, ground: Picture) -> Picture:
    """`ground` with the flat plate warped onto `quad`, its edge softened by about a pixel."""
    height, width = flat.shape[:2]
    source = np.asarray([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(source - 0.5, quad - 0.5)
    size = (ground.shape[1], ground.shape[0])
    warped = cv2.warpPerspective(flat, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = np.zeros(ground.shape[:2], np.float32)
    cv2.fillConvexPoly(inside, np.round(quad * 16).astype(np.int32), 1.0, cv2.LINE_AA, 4)
    return np.asarray(cv2.blendLinear(warped, ground, inside, 1 - inside), np.uint8)


def _bent(flat: Picture, rng: Rng) -> Picture:
    """A plate bowed or kinked along its width."""
    height, width = flat.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    knee, depth = float(rng.uniform(-0.7, 0.7)), float(rng.normal(0, 0.06)) * height
    offset = depth * (np.abs(x - knee) if rng.random() < 0.5 else 2 * x**2 - 1)
    rows = np.arange(height, dtype=np.float32)[:, None] + offset[None].astype(np.float32)
    columns = np.broadcast_to(np.arange(width, dtype=np.float32), (height, width))
    bent = cv2.remap(
        flat, np.ascontiguousarray(columns), rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(bent, np.uint8)


def bodywork(width: int, height: int, rng: Rng) -> Picture:
    """What is around a plate: paint or bumper in a gradient, with grille bars, seams and lamps."""
    corners = np.clip(rng.integers(0, 256) + rng.normal(0, 30, (2, 2, 3)) + rng.normal(0, 25, 3), 0, 255)
    ground = np.asarray(cv2.resize(corners.astype(np.uint8), (width, height)), np.uint8)
    for _ in range(int(rng.integers(0, 5))):
        shade = [int(c) for c in np.clip(rng.integers(0, 256) + rng.normal(0, 20, 3), 0, 255)]
        y = int(rng.integers(0, height))
        end = int(y + rng.normal(0, 0.05) * height)
        cv2.line(ground, (0, y), (width, end), shade, int(rng.integers(1, 2 + height // 8)), cv2.LINE_AA)
    if rng.random() < 0.3:
        shade = [int(c) for c in rng.integers(0, 256, 3)]
        centre = (int(rng.uniform(0, 1) * width), int(rng.uniform(0, 1) * height))
        cv2.circle(ground, centre, int(rng.uniform(0.05, 0.3) * width), shade, -1, cv2.LINE_AA)
    return ground


def exposed(picture: Picture, rng: Rng) -> Picture:
    """Light and white balance: day, dusk, sodium lamps, over- and underexposure, washed-out contrast."""
    mode = rng.random()
    gain = float(np.exp(rng.normal(0, 0.25)))
    balance = np.exp(rng.normal(0, 0.08, 3))
    lift, gamma = 0.0, float(np.exp(rng.normal(0, 0.2)))
    if mode < 0.12:  # night
        gain = float(rng.uniform(0.15, 0.5))
        balance = np.exp(rng.normal(0, 0.18, 3))
    elif mode < 0.18:  # sodium or warm lamps
        balance = np.asarray([rng.uniform(0.25, 0.8), rng.uniform(0.6, 1.0), rng.uniform(0.9, 1.5)])
    elif mode < 0.25:  # haze, flare, a dirty lens
        lift, gain = float(rng.uniform(30, 120)), float(rng.uniform(0.35, 0.7))
    elif mode < 0.3:  # overexposed
        gain = float(rng.uniform(1.4, 2.1))
    # Neither black nor white-out: nothing could be learnt from either.
    mean = float(picture.mean()) + 1
    gain = float(np.clip(gain, 30 / mean, max(1.0, 205 / mean)))
    levels = 255 * (np.arange(256) / 255) ** gamma
    table = np.clip(levels[:, None] * (gain * balance)[None] + lift, 0, 255).astype(np.uint8)
    out = np.asarray(cv2.LUT(picture, table[None]), np.uint8)
    if rng.random() < 0.25:
        grey = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        keep = float(rng.uniform(0, 1.0)) if rng.random() < 0.7 else float(rng.uniform(1, 1.7))
        out = np.asarray(cv2.addWeighted(out, keep, grey, 1 - keep, 0), np.uint8)
    return out


def filmed(picture: Picture, rng: Rng, strength: float = 1.0) -> Picture:
    """The camera: defocus, motion, noise, sharpening and JPEG, about `strength` times the usual."""
    out = picture
    if rng.random() < 0.5:
        out = np.asarray(
            cv2.GaussianBlur(out, (0, 0), 0.2 + float(rng.gamma(1.3, 0.38)) * strength), np.uint8
        )
    if rng.random() < 0.25:
        out = _moved(out, float(rng.gamma(1.5, 1.3)) * strength + 1, rng)
    if rng.random() < 0.15:
        soft = cv2.GaussianBlur(out, (0, 0), 1.0)
        amount = float(rng.uniform(0.3, 1.5))
        out = np.asarray(cv2.addWeighted(out, 1 + amount, soft, -amount, 0), np.uint8)
    if rng.random() < 0.45:
        out = _noisy(out, float(rng.gamma(1.5, 3.5)) * strength, rng)
    if rng.random() < 0.6:
        out = compressed(out, int(rng.integers(25, 96)))
    return out


def _moved(picture: Picture, length_px: float, rng: Rng) -> Picture:
    size = min(15, round(length_px)) | 1
    if size < 3:
        return picture
    kernel = np.zeros((size, size), np.float32)
    angle = float(rng.normal(0, 0.35)) + (math.pi / 2 if rng.random() < 0.3 else 0)
    dx, dy = math.cos(angle) * length_px / 2, math.sin(angle) * length_px / 2
    middle = size / 2 - 0.5
    ends = [(round((middle + s * dx) * 16), round((middle + s * dy) * 16)) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
    total = float(kernel.sum())
    return np.asarray(cv2.filter2D(picture, -1, kernel / total), np.uint8) if total > 0 else picture


def _noisy(picture: Picture, sigma: float, rng: Rng) -> Picture:
    shape = picture.shape if rng.random() < 0.5 else (*picture.shape[:2], 1)
    noise = rng.standard_normal(shape, dtype=np.float32) * np.float32(sigma)
    return np.asarray(np.clip(picture + noise, 0, 255), np.uint8)


def compressed(picture: Picture, quality: int) -> Picture:
    """The picture after JPEG at a quality of 0-100."""
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def shrunk(picture: Picture, width_px: float, rng: Rng) -> Picture:
    """The picture at `width_px` wide, by one of the ways that cameras and tools shrink."""
    scale = width_px / picture.shape[1]
    size = (max(8, round(width_px)), max(4, round(picture.shape[0] * scale)))
    method = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.choice(3, p=(0.6, 0.3, 0.1)))]
    return np.asarray(cv2.resize(picture, size, interpolation=method), np.uint8)
