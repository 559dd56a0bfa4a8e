"""Days in front of one camera, rendered: sun, dusk, night, rain, headlights, wind, exposure steps."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import cv2
import numpy as np

from edged.demo.light import Light, daylight, lamplight
from edged.demo.scene import Scene
from edged.demo.sensor import Sensor
from edged.picture import Image

BERTHS = ("1001", "1002", "1003", "1004", "1005")
WIDTH_PX, HEIGHT_PX = 1920, 1080
_PLATES = ("京A12345", "沪B6Q871", "粤BD12345", "皖C80H36", "苏E5521K", "浙AF20613", "川GZ7788", "鄂A31N95")


class Weather(StrEnum):
    """What a picture suffers from."""

    SUN = "sun"
    DUSK = "dusk"
    NIGHT = "night"
    RAIN = "rain"
    HEADLIGHTS = "headlights"
    WIND = "shake of 2-3 px"
    EXPOSURE = "exposure step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A picture with the weather it suffers from and the cars in it, by berth."""

    image: Image
    weather: Weather
    cars: Mapping[str, str]


class Day:
    """One camera's pictures over a day. The same `seed` is the same street and camera, whatever the hour."""

    def __init__(
        self, watched: Sequence[str], *, seed: int, turned_m: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        self.watched = tuple(watched)
        self._seed = seed
        self._turned_m = turned_m
        self._scenes: dict[tuple[int, bool], Scene] = {}
        grain = zlib.crc32(repr(turned_m).encode())
        self._sensors = {
            # each with a grain of its own: two pictures of one grain agree where their streets do not
            is_day: Sensor(
                WIDTH_PX, HEIGHT_PX, is_day=is_day, rng=np.random.default_rng((seed, is_day, grain))
            )
            for is_day in (True, False)
        }
        self._clean: dict[tuple[int, bool, tuple[tuple[str, str], ...]], Image] = {}

    def outline(self, berth_no: str) -> tuple[tuple[int, int], ...]:
        return self._scene(0, is_night=False).polygon(berth_no)

    def shoot(
        self, weather: Weather, cars: Mapping[str, str], rng: np.random.Generator, *, light: int = 0
    ) -> Shot:
        """Return a picture; `light` numbers the sun's and the lamp's states."""
        is_night = weather in (Weather.NIGHT, Weather.HEADLIGHTS)
        image = self._weathered(self._render(light, is_night, cars), weather, rng)
        frame = self._sensors[not is_night].frame(image, rng)
        return Shot(image=frame, weather=weather, cars=cars)

    def _render(self, light: int, is_night: bool, cars: Mapping[str, str]) -> Image:
        key = (light, is_night, tuple(sorted(cars.items())))
        if key not in self._clean:
            lit = list(cars)[:1] if is_night else []
            self._clean[key] = self._scene(light, is_night=is_night).render(cars, lights_on=lit).image
        return self._clean[key]

    def _scene(self, light: int, *, is_night: bool) -> Scene:
        if (light, is_night) not in self._scenes:
            self._scenes[light, is_night] = Scene(
                BERTHS,
                self.watched,
                seed=self._seed,
                is_day=not is_night,
                light=_light(light, is_night, self._seed),
                turned_m=self._turned_m,
                width_px=WIDTH_PX,
                height_px=HEIGHT_PX,
            )
        return self._scenes[light, is_night]

    @staticmethod
    def _weathered(image: Image, weather: Weather, rng: np.random.Generator) -> Image:
        match weather:
            case Weather.DUSK:
                tint = np.array((1.15, 0.95, 0.85)) * rng.uniform(0.25, 0.6)
                return np.asarray(np.clip(image * tint, 0, 255), np.uint8)
            case Weather.RAIN:
                return _rain(image, rng)
            case Weather.HEADLIGHTS:
                return _headlights(image, rng)
            case Weather.WIND:
                return _shaken(image, rng)
            case Weather.EXPOSURE:
                return np.asarray(np.clip(image * rng.choice((0.45, 0.6, 1.5, 1.9)), 0, 255), np.uint8)
            case _:
                return image


def some_cars(watched: Sequence[str], rng: np.random.Generator) -> dict[str, str]:
    """Return cars in about half of the berths that a camera sees."""
    chosen = rng.permutation(len(_PLATES))
    return {
        berth_no: _PLATES[int(chosen[index])] for index, berth_no in enumerate(watched) if rng.random() < 0.5
    }


def _light(number: int, is_night: bool, seed: int) -> Light:
    rng = np.random.default_rng((seed, number, int(is_night)))
    if not is_night:
        return daylight(rng)
    lamp = lamplight(np.random.default_rng((seed, 0)), 5.0)  # a lamp stays where it is
    strength = float(rng.uniform(0.4, 1.1))
    blue, green, red = (part * strength for part in lamp.source)
    return replace(lamp, source=(blue, green, red))


def _rain(image: Image, rng: np.random.Generator) -> Image:
    """Streaks, drops on the lens, and the contrast that wet air takes."""
    streaks = np.zeros(image.shape[:2], np.uint8)
    slant = float(rng.uniform(-12, 12))
    for x, y in rng.uniform((0, 0), (image.shape[1], image.shape[0]), (700, 2)):
        length = float(rng.uniform(15, 45))
        cv2.line(streaks, (int(x), int(y)), (int(x + slant), int(y + length)), 70, 1, cv2.LINE_AA)
    wet = image.astype(np.float32) * 0.72 + 34 + cv2.GaussianBlur(streaks, (0, 0), 0.8)[..., None]
    soft = cv2.GaussianBlur(wet, (0, 0), 9)
    drops = np.zeros(image.shape[:2], np.float32)
    for x, y in rng.uniform((0, 0), (image.shape[1], image.shape[0]), (int(rng.integers(6, 25)), 2)):
        cv2.circle(drops, (int(x), int(y)), int(rng.integers(12, 40)), 1.0, -1, cv2.LINE_AA)
    return np.asarray(np.clip(wet + (soft - wet) * drops[..., None], 0, 255), np.uint8)


def _headlights(image: Image, rng: np.random.Generator) -> Image:
    """Two lamps of a passing car that shine into the lens, with their glare."""
    glare = np.zeros((HEIGHT_PX // 8, WIDTH_PX // 8), np.float32)
    x, y = rng.uniform((20, 60), (WIDTH_PX / 8 - 20, HEIGHT_PX / 8))
    for side in (-4, 4):
        cv2.circle(glare, (int(x + side), int(y)), 3, 1.0, -1)
    bloom = cv2.GaussianBlur(glare, (0, 0), 3) * 900 + cv2.GaussianBlur(glare, (0, 0), 22) * 5000
    wide = cv2.resize(bloom, (WIDTH_PX, HEIGHT_PX))[..., None]
    return np.asarray(np.clip(image + wide, 0, 255), np.uint8)


def _shaken(image: Image, rng: np.random.Generator) -> Image:
    angle = float(rng.uniform(0, 2 * np.pi))
    reach = float(rng.uniform(2, 3))
    matrix = np.array(((1, 0, reach * np.cos(angle)), (0, 1, reach * np.sin(angle))), np.float64)
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)
