"""What a pole camera sees: a street with cars in its berths, rendered from seeds.

Not used in training: vehicles, backgrounds and typeface are the demo's own.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.demo.car import Car, Patch, build_car, with_lights_off
from edged.demo.ground import BERTH_WIDTH_M, berth_outline, draw_street
from edged.demo.light import Light, daylight, lamplight
from edged.demo.plates import FlatPlate, draw_plate, usual_kind
from edged.demo.view import Points, View
from edged.picture import Image

WIDTH_PX, HEIGHT_PX = 1920, 1080
_SUPERSAMPLING = 2
_Canvas = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A picture, and where its plates really are: (4, 2) px, clockwise from top left, per berth."""

    image: Image
    plates: Mapping[str, Points]


class Scene:
    """One camera's view of a row of berths; `watched` are those that it is there for.

    `light`: another hour of the same street, None: drawn from the seed. `turned_m`: how far to the right and
    up the camera looks of where it was aimed, in metres at the berths.
    """

    def __init__(
        self,
        berths: Sequence[str],
        watched: Sequence[str],
        *,
        seed: int,
        is_day: bool,
        light: Light | None = None,
        turned_m: tuple[float, float] = (0.0, 0.0),
        width_px: int = WIDTH_PX,
        height_px: int = HEIGHT_PX,
    ) -> None:
        self._line_x = {berth_no: index * BERTH_WIDTH_M for index, berth_no in enumerate(berths)}
        self._watched = tuple(watched)
        self._cars: dict[tuple[str, str], Car] = {}
        self._seed = seed
        rng = np.random.default_rng(seed)
        centre_x = float(np.mean([self._line_x[berth_no] for berth_no in watched])) + BERTH_WIDTH_M / 2
        seen_m = BERTH_WIDTH_M * len(watched) + 1.5
        place = (centre_x + float(rng.uniform(-1.5, 1.5)), -7.4, float(rng.uniform(5.2, 6.0)))
        target = (centre_x + turned_m[0], 1.35, 0.5 + turned_m[1])
        far_m = float(np.linalg.norm(np.subtract(place, (centre_x, 1.35, 0.5))))
        self._view = View(
            position=place,
            target=target,
            focal_px=width_px * far_m / seen_m,
            width_px=width_px,
            height_px=height_px,
        )
        self._light = light or (daylight(rng) if is_day else lamplight(rng, centre_x))
        self._fine = self._view.scaled(_SUPERSAMPLING)
        ground = rng if light is None else np.random.default_rng((seed, 1))
        self._street = draw_street(self._view, list(self._line_x.items()), self._light, ground)

    def polygon(self, berth_no: str) -> tuple[tuple[int, int], ...]:
        """Return the berth's outline in px, cut off at the picture's edges, as a technician draws it."""
        corners = self._view.project(berth_outline(self._line_x[berth_no]))
        inside = np.clip(corners, (0, 0), (self._view.width_px - 1, self._view.height_px - 1))
        return tuple((round(float(x)), round(float(y))) for x, y in inside)

    def sees(self, berth_no: str) -> bool:
        """Tell whether a car in that berth shows in the picture: a watched berth or a neighbour of one."""
        watched = [self._line_x[one] for one in self._watched]
        at = self._line_x[berth_no]
        return min(watched) - BERTH_WIDTH_M <= at <= max(watched) + BERTH_WIDTH_M

    def render(self, cars: Mapping[str, str], *, lights_on: Sequence[str] = ()) -> Rendered:
        """Return the scene with a car of that plate in each berth of `cars`; ValueError for no such plate."""
        fine_size = (self._fine.width_px, self._fine.height_px)
        canvas = np.asarray(cv2.resize(self._street, fine_size, interpolation=cv2.INTER_LINEAR), np.float32)
        standing = [
            (no, self._car(no, plate, lit=no in lights_on), plate)
            for no, plate in cars.items()
            if self.sees(no)
        ]
        self._shade_ground(canvas, [car for _, car, _ in standing])
        standing.sort(key=lambda one: -abs(float(one[1].plate_centre[0]) - self._view.position[0]))
        plates: dict[str, Points] = {}
        for berth_no, car, text in standing:
            self._draw_car(canvas, car)
            flat = draw_plate(text, usual_kind(text), np.random.default_rng(zlib.crc32(text.encode())))
            corners = self._draw_plate(canvas, car, flat)
            plates[berth_no] = corners / _SUPERSAMPLING
        for _, car, _ in standing:
            self._glow(canvas, car)
        size = (self._view.width_px, self._view.height_px)
        small = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
        return Rendered(image=np.clip(small, 0, 255).astype(np.uint8), plates=plates)

    def _car(self, berth_no: str, plate: str, *, lit: bool) -> Car:
        car = self._cars.get((berth_no, plate))
        if car is None:
            car = self._cars[berth_no, plate] = self._built(berth_no, plate)
        return car if lit and not self._light.is_day else with_lights_off(car)

    def _built(self, berth_no: str, plate: str) -> Car:
        rng = np.random.default_rng((self._seed, zlib.crc32(f"{berth_no}{plate}".encode())))
        middle = self._line_x[berth_no] + BERTH_WIDTH_M / 2
        return build_car((middle + float(rng.normal(0, 0.07)), float(rng.uniform(0.25, 0.6))), rng)

    def _shade_ground(self, canvas: _Canvas, cars: Sequence[Car]) -> None:
        coarse = 8  # shadows are soft: drawn small, they cost nothing
        shade = np.zeros((canvas.shape[0] // coarse, canvas.shape[1] // coarse), np.float32)
        for car in cars:
            skin = np.concatenate([patch.corners for patch in car.patches])
            for points, depth, blur in (
                (self._light.shadow_of(skin), 0.62 if self._light.is_day else 0.5, 1.2),
                (skin * np.array((1.0, 1.0, 0.0)), 0.8, 2.6),  # what the car itself hides from the sky
            ):
                layer = np.zeros_like(shade)
                pixels = np.rint(self._fine.project(points) / coarse).astype(np.int32)
                cv2.fillConvexPoly(layer, cv2.convexHull(pixels), depth)
                shade = np.maximum(shade, np.asarray(cv2.GaussianBlur(layer, (0, 0), blur), np.float32))
        smooth = cv2.resize(shade, canvas.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        canvas *= 1 - np.asarray(smooth, np.float32)[..., None]

    def _draw_car(self, canvas: _Canvas, car: Car) -> None:
        position = np.array(self._fine.position)
        facing = [p for p in car.patches if p.normal @ (position - p.middle) > 0]
        facing.sort(key=lambda p: (p.lies_on_skin, -float(self._fine.distance(p.middle))))
        for patch in facing:
            pixels = np.rint(self._fine.project(patch.corners) * 16).astype(np.int32)
            cv2.fillPoly(canvas, [pixels], self._colour(patch, position), cv2.LINE_8, 4)

    def _colour(self, patch: Patch, position: Points) -> tuple[float, float, float]:
        middle = patch.middle
        lit = np.array(patch.colour) * self._light.on(middle, patch.normal)
        towards = (position - middle) / np.linalg.norm(position - middle)
        mirrored = 2 * (patch.normal @ towards) * patch.normal - towards
        grazing = (1 - abs(float(patch.normal @ towards))) ** 3
        sky = (210.0, 205.0, 195.0) if self._light.is_day else (24.0, 20.0, 18.0)
        share = patch.gloss * (0.06 + 0.5 * grazing) * max(0.15, float(mirrored[2]))
        colour = lit * (1 - share) + np.array(sky) * share
        if patch.glows:
            colour = np.maximum(colour, np.array(patch.colour) * 0.9)
        return (float(colour[0]), float(colour[1]), float(colour[2]))

    def _draw_plate(self, canvas: _Canvas, car: Car, flat: FlatPlate) -> Points:
        """Warp the plate onto the car's end; return its corners on the canvas."""
        cos_roll, sin_roll = np.cos(car.plate_roll_rad), np.sin(car.plate_roll_rad)
        right = np.array((cos_roll, 0.0, sin_roll))
        down = np.array((sin_roll, np.sin(car.plate_tilt_rad) * -1.0, -np.cos(car.plate_tilt_rad)))
        normal = np.array((0.0, -np.cos(car.plate_tilt_rad), np.sin(car.plate_tilt_rad)))
        half_right, half_down = right * flat.width_m / 2, down * flat.height_m / 2

        def corners(margin: float) -> Points:
            a, b = half_right * (1 + margin), half_down * (1 + 2.5 * margin)
            centre = car.plate_centre
            return self._fine.project(
                np.stack((centre - a - b, centre + a - b, centre + a + b, centre - a + b))
            )

        frame = np.rint(corners(0.035)).astype(np.int32)
        light = self._light.on(car.plate_centre, normal)
        cv2.fillConvexPoly(canvas, frame, tuple(float(c) for c in 38 * light))
        exact = corners(0.0)
        shine = 1.0 if self._light.is_day else 1.35  # plates throw light back to where it came from
        _paste(canvas, flat.image.astype(np.float32) * (light * shine).astype(np.float32), exact)
        return exact

    def _glow(self, canvas: _Canvas, car: Car) -> None:
        """Let the lamps bloom, as they do in a sensor at night."""
        colour = np.array((150.0, 170.0, 190.0) if car.shows_front else (8.0, 6.0, 90.0), np.float32)
        for lamp in car.lamps:
            x, y = self._fine.project(lamp)
            layer = np.zeros((canvas.shape[0] // 8, canvas.shape[1] // 8), np.float32)
            cv2.circle(layer, (round(x / 8), round(y / 8)), 4, 1.0, -1)
            bloom = cv2.GaussianBlur(layer, (0, 0), 5) * 1.2 + cv2.GaussianBlur(layer, (0, 0), 18) * 3.0
            canvas += np.asarray(cv2.resize(bloom, canvas.shape[1::-1]), np.float32)[..., None] * colour


def _paste(canvas: _Canvas, flat: _Canvas, corners: Points) -> None:
    """Warp `flat` to `corners`; shrunk first, so that the warp has no more pixels than it needs."""
    wide = float(np.linalg.norm(corners[1] - corners[0])) * 1.3
    if wide < flat.shape[1]:
        scale = wide / flat.shape[1]
        flat = np.asarray(
            cv2.resize(flat, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.float32
        )
    left, top = (int(v) for v in np.floor(corners.min(axis=0)) - 2)
    right, bottom = (int(v) for v in np.ceil(corners.max(axis=0)) + 3)
    left, top = max(0, left), max(0, top)
    region = canvas[top:bottom, left:right]
    if not region.size:
        return
    height, width = flat.shape[:2]
    from_corners = np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float32)
    matrix = cv2.getPerspectiveTransform(from_corners, (corners - (left, top)).astype(np.float32))
    size = region.shape[1::-1]
    cover = cv2.warpPerspective(np.ones(flat.shape[:2], np.float32), matrix, size)[..., None]
    colour = cv2.warpPerspective(flat, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    region *= 1 - cover
    region += colour * cover
