"""The street without cars: asphalt, berth lines and numbers, kerb, pavement, hedge."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.demo.light import Light
from edged.demo.view import Points, View
from edged.picture.plate_face import draw_character

BERTH_WIDTH_M = 2.5
BERTH_LENGTH_M = 5.3

_PX_PER_M = 110
_NEAR_M, _FAR_M = -3.0, 9.0  # how far the drawn ground reaches, in y
_KERB_M = 5.55
_LINE_M = 0.12
_HEDGE_HEIGHT_M = 2.4

_Texture = NDArray[np.float32]


def draw_street(
    view: View, berths: Sequence[tuple[str, float]], light: Light, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the lit street (height x width x 3, BGR 0-255). `berths` are (berth_no, x of its left line)."""
    left_m = view.position[0] - 7.0
    size = (round((_FAR_M - _NEAR_M) * _PX_PER_M), round(14.0 * _PX_PER_M))
    ground = _asphalt(size, rng)
    _pavement(ground, rng)
    for berth_no, line_x in berths:
        _berth(ground, berth_no, line_x - left_m, rng)
    ground *= _lit(size, left_m, light, rng)
    origin, right, down = np.array((left_m, _FAR_M, 0.0)), np.array((1.0, 0, 0)), np.array((0, -1.0, 0))
    picture = _on_plane(view, ground, origin, right, down)
    hedge = _hedge(round(14.0 * _PX_PER_M), rng)
    middle = np.array((view.position[0], _FAR_M, 1.0))
    hedge *= light.on(middle, np.array((0.0, -0.8, 0.6))).astype(np.float32)
    top = origin + np.array((0.0, 0.0, _HEDGE_HEIGHT_M))
    behind = _on_plane(view, hedge, top, right, np.array((0.0, 0.0, -1.0)))
    ends = origin + np.array(((0.0, 0.0, 0.0), (14.0, 0.0, 0.0)))
    foot_px = int(np.ceil(view.project(ends)[:, 1].max()))
    rows = slice(0, min(max(0, foot_px), view.height_px))
    picture[rows] = np.where(behind[rows] > 0, behind[rows], picture[rows])
    return picture


def berth_outline(line_x: float) -> Points:
    """Return the berth's four corners on the ground, around it, (4, 3)."""
    right_x = line_x + BERTH_WIDTH_M
    near, far = 0.0, BERTH_LENGTH_M
    return np.array(((line_x, near, 0.0), (line_x, far, 0.0), (right_x, far, 0.0), (right_x, near, 0.0)))


def cloud_noise(size: tuple[int, ...], cells: int, rng: np.random.Generator) -> _Texture:
    """Return smooth noise of that (height, width), about -1 to 1, `cells` bumps over the height."""
    across = max(2, round(cells * size[1] / size[0]))
    coarse = rng.normal(0, 0.5, (cells + 1, across + 1)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _on_plane(view: View, texture: _Texture, origin: Points, right: Points, down: Points) -> _Texture:
    matrix = view.plane_homography(origin, right / _PX_PER_M, down / _PX_PER_M)
    seen = cv2.warpPerspective(texture, matrix, (view.width_px, view.height_px), flags=cv2.INTER_LINEAR)
    return np.asarray(seen, np.float32)


def _asphalt(size: tuple[int, int], rng: np.random.Generator) -> _Texture:
    grain = cv2.GaussianBlur(rng.standard_normal(size, np.float32) * 12, (0, 0), 0.8)
    tone = 92 + 8 * cloud_noise(size, 5, rng) + 5 * cloud_noise(size, 25, rng) + grain
    texture = np.repeat(tone[..., None], 3, axis=2) * np.array((1.02, 1.0, 0.98), np.float32)
    for _ in range(int(rng.integers(2, 6))):  # oil and tar
        centre = (int(rng.integers(size[1])), int(rng.integers(size[0])))
        axes = (int(rng.integers(10, 45)), int(rng.integers(8, 30)))
        turn = float(rng.uniform(0, 180))
        there = tuple(0.75 * float(c) for c in texture[centre[1], centre[0]])
        cv2.ellipse(texture, centre, axes, turn, 0, 360, there, -1, cv2.LINE_AA)
    for _ in range(3):  # cracks
        steps = np.cumsum(rng.normal((0, 9), (9, 5), (40, 2)), axis=0)
        start = np.array((rng.uniform(0, size[1]), 0.0))
        crack = np.rint(start + steps).astype(np.int32)
        cv2.polylines(texture, [crack], False, (48, 48, 48), 2, cv2.LINE_AA)
    return np.asarray(texture, np.float32)


def _pavement(ground: _Texture, rng: np.random.Generator) -> None:
    kerb_px, back_px = (round((_FAR_M - y) * _PX_PER_M) for y in (_KERB_M, _KERB_M + 0.18))
    tiles = ground[:back_px]
    tone = 128 + 6 * cloud_noise(tiles.shape[:2], 8, rng) + rng.normal(0, 4, tiles.shape[:2])
    tiles[:] = tone[..., None].astype(np.float32) * np.array((0.93, 0.98, 1.05), np.float32)
    step = round(0.4 * _PX_PER_M)
    tiles[::step] *= 0.75
    tiles[:, ::step] *= 0.75
    ground[back_px:kerb_px] = 165
    ground[kerb_px : kerb_px + 12] *= 0.5


def _berth(ground: _Texture, berth_no: str, line_m: float, rng: np.random.Generator) -> None:
    """Paint two side lines, the near line and the number in front of it."""

    left_px = max(0, round((line_m - 0.3) * _PX_PER_M))
    right_px = max(left_px, round((line_m + BERTH_WIDTH_M + 0.3) * _PX_PER_M))
    ground = ground[:, left_px:right_px]
    if not ground.size:
        return

    def px(x_m: float, y_m: float) -> tuple[int, int]:
        return round((line_m + x_m) * _PX_PER_M) - left_px, round((_FAR_M - y_m) * _PX_PER_M)

    paint = np.zeros(ground.shape[:2], np.float32)
    width = round(_LINE_M * _PX_PER_M)
    cv2.line(paint, px(0, 0), px(0, BERTH_LENGTH_M), 1.0, width, cv2.LINE_AA)
    cv2.line(paint, px(BERTH_WIDTH_M, 0), px(BERTH_WIDTH_M, BERTH_LENGTH_M), 1.0, width, cv2.LINE_AA)
    cv2.line(paint, px(0, 0), px(BERTH_WIDTH_M, 0), 1.0, width, cv2.LINE_AA)
    high, wide, gap = (round(m * _PX_PER_M) for m in (0.46, 0.19, 0.27))
    x, y = px(BERTH_WIDTH_M / 2, -0.16)
    x -= gap * len(berth_no) // 2
    for index, digit in enumerate(berth_no):
        left = x + index * gap
        if digit.isascii() and digit.isalnum() and 0 <= left < paint.shape[1] - wide:
            cover = draw_character(digit.upper(), width_px=wide, height_px=high)
            paint[y : y + high, left : left + wide] = cover
    worn = np.clip(0.86 + 0.22 * cloud_noise(paint.shape, 60, rng), 0.25, 1.0)
    paint = (paint * worn)[..., None]
    ground *= 1 - paint
    ground += paint * np.float32(212)


def _lit(size: tuple[int, int], left_m: float, light: Light, rng: np.random.Generator) -> _Texture:
    """Return the light on the ground, with the dapples that a tree lets through."""
    coarse = (size[0] // 10, size[1] // 10)
    rows = _FAR_M - (np.arange(coarse[0]) + 0.5) * 10 / _PX_PER_M
    columns = left_m + (np.arange(coarse[1]) + 0.5) * 10 / _PX_PER_M
    points = np.stack((*np.meshgrid(columns, rows), np.zeros(coarse)), axis=-1)
    normals = np.broadcast_to(np.array((0.0, 0.0, 1.0)), points.shape)
    factor = cv2.resize(light.on(points, normals).astype(np.float32), size[::-1])
    if light.is_day:
        leaves = np.clip(cloud_noise(size, 14, rng) * 2 + cloud_noise(size, 3, rng) * 3 - 0.8, 0, 1)
        factor *= 1 - 0.35 * cv2.GaussianBlur(leaves, (0, 0), 4)[..., None]
    return np.asarray(factor, np.float32)


def _hedge(width: int, rng: np.random.Generator) -> _Texture:
    size = (round(_HEDGE_HEIGHT_M * _PX_PER_M), width)
    tone = 62 + 22 * cloud_noise(size, 24, rng) + 16 * cloud_noise(size, 70, rng) + rng.normal(0, 6, size)
    texture = np.clip(tone, 5, 255)[..., None] * np.array((0.55, 1.0, 0.72))
    return np.asarray(texture, np.float32)
