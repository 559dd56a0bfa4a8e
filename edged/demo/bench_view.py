"""`make bench-view`: how often a view in order is doubted, and how often one that is not is found."""

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from edged.demo.bench_view_real import real_views
from edged.demo.days import Day, Weather, some_cars
from edged.picture import Image, decode_jpeg, encode_jpeg
from edged.view import CameraWatch, Doubt, Judgement, Occasion, ViewPlan, look_at
from edged.view.doubts import WITHHOLDS

_CAMERAS: tuple[tuple[str, ...], ...] = (
    ("1002",),
    ("1003",),
    ("1002", "1003"),
    ("1003", "1004"),
    ("1002", "1003", "1004"),
)
_EVERY_S = 300.0
_DAYTIME = (Weather.SUN, Weather.SUN, Weather.RAIN, Weather.WIND, Weather.EXPOSURE)
_CARS = ("京A12345", "沪B6Q871")  # few: a scene is rendered once, what the weather does to it each time
_NIGHTTIME = (Weather.NIGHT, Weather.HEADLIGHTS)
# half a berth and more: to the side, up and down, a whole berth, two
_TURNS = (
    (1.25, 0.0),
    (-1.25, 0.0),
    (1.8, 0.3),
    (-2.5, 0.0),
    (2.5, 0.0),
    (0.0, 1.25),
    (0.0, -1.25),
    (5.0, 0.0),
)


@dataclass(slots=True)
class Street:
    """One camera with its watch, and a clock that runs on with each picture."""

    day: Day
    watch: CameraWatch
    rng: np.random.Generator
    now_s: float = 0.0
    cars: dict[str, str] = field(default_factory=dict)
    cpu_s: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, watched: Sequence[str], seed: int) -> "Street":
        day = Day(watched, seed=seed)
        plan = ViewPlan(outlines={berth_no: day.outline(berth_no) for berth_no in watched})
        return cls(
            day=day, watch=CameraWatch({None: plan}), rng=np.random.default_rng(seed), now_s=8 * 3600.0
        )

    @property
    def hour(self) -> int:
        return int(self.now_s // 3600) % 24

    def weather(self) -> Weather:
        if self.hour in (6, 18):
            return Weather.DUSK
        kinds = _DAYTIME if 6 < self.hour < 18 else _NIGHTTIME
        return kinds[int(self.rng.integers(len(kinds)))]

    def judge(self, image: Image, berth_no: str, *, came: bool = False) -> Judgement:
        began_s = time.process_time()
        sight = look_at(image, taken_s=self.now_s)
        occasion = Occasion(
            berth_no=berth_no,
            hour=self.hour,
            day=int(self.now_s // 86400),
            is_vacant=berth_no not in self.cars,
            arrived_s=self.now_s - 3 if came else None,
        )
        judgement = self.watch.judge(sight, occasion)
        self.cpu_s.append(time.process_time() - began_s)
        return judgement

    def next_good(self) -> tuple[Weather, Judgement]:
        """A car comes or goes, or nothing happens; the camera is in order."""
        self.now_s += float(self.rng.uniform(0.4, 1.6)) * _EVERY_S
        berth_no = self.day.watched[int(self.rng.integers(len(self.day.watched)))]
        came = berth_no not in self.cars and self.rng.random() < 0.5
        if came:
            self.cars |= {berth_no: _CARS[int(self.rng.integers(len(_CARS)))]}
        elif self.rng.random() < 0.7:
            self.cars = {no: plate for no, plate in self.cars.items() if no != berth_no}
        weather = self.weather()
        shot = self.day.shoot(weather, self.cars, self.rng, light=self.hour // 3)
        return weather, self.judge(shot.image, berth_no, came=came)

    def frozen(self) -> Iterator[Judgement]:
        """The camera freezes, then the next car comes: the same bytes, with a running clock, encoded anew."""
        for spoil in (lambda image: image, self._with_clock, _encoded_anew):
            self.cars = {}
            berth_no = self.day.watched[0]
            self.now_s += _EVERY_S
            still = self.day.shoot(self.weather(), self.cars, self.rng, light=self.hour // 3).image
            self.judge(still, berth_no)
            self.now_s += 60.0
            self.cars = {berth_no: "京A12345"}
            yield self.judge(spoil(still), berth_no, came=True)

    def _with_clock(self, image: Image) -> Image:
        shown = image.copy()
        text = f"2026-11-28 {self.hour:02d}:{int(self.now_s // 60) % 60:02d}:{int(self.now_s) % 60:02d}"
        cv2.putText(shown, text, (40, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (255, 255, 255), 3)
        return shown


def _encoded_anew(image: Image) -> Image:
    return decode_jpeg(encode_jpeg(image, quality=70))


@dataclass(slots=True)
class Tally:
    """What one camera's pictures came to."""

    good: Counter[Weather] = field(default_factory=Counter)
    alarms: Counter[Weather] = field(default_factory=Counter)
    why: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    cpu_s: list[float] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        for name in ("good", "alarms", "why", "tried", "found"):
            getattr(self, name).update(getattr(other, name))
        self.cpu_s += other.cpu_s


def watch_one(watched: Sequence[str], seed: int, bursts: int) -> Tally:
    """Judge the pictures of one camera: `bursts` in order, then those of a camera gone wrong."""
    tally, street = Tally(), Street.of(watched, seed)
    for _ in range(bursts):
        weather, judgement = street.next_good()
        tally.good[weather] += 1
        if judgement.doubts or not judgement.may_decide:
            tally.alarms[weather] += 1
            tally.why.update(doubt.value for doubt in judgement.doubts)
    for name, is_found in (*_frozen(street), *_moved(street, watched, seed), *_poor(street)):
        tally.tried[name] += 1
        tally.found[name] += is_found
    tally.cpu_s = street.cpu_s
    return tally


def main() -> None:
    """Print the figures as Markdown tables."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--bursts", type=int, default=3000)
    parser.add_argument("--workers", type=int, help="processes; the machine's cores if not given")
    parser.add_argument("--real", type=Path, help="a folder of pictures by fixed cameras, one subfolder each")
    arguments = parser.parse_args()
    tally = Tally()
    with ProcessPoolExecutor(arguments.workers) as pool:
        each = arguments.bursts // len(_CAMERAS)
        for part in pool.map(watch_one, _CAMERAS, range(11, 11 + len(_CAMERAS)), [each] * len(_CAMERAS)):
            tally.add(part)
    print("| weather | good bursts | doubted |\n|---|---|---|")
    for weather in Weather:
        print(f"| {weather.value} | {tally.good[weather]:,} | {tally.alarms[weather]} |")
    print(f"| all | {tally.good.total():,} | {tally.alarms.total()} |\n\ndoubts: {dict(tally.why)}\n")
    print("| what is wrong | tried | found |\n|---|---|---|")
    for name, tried in tally.tried.items():
        print(f"| {name} | {tried} | {tally.found[name]} ({tally.found[name] / tried:.1%}) |")
    median_ms, most_ms = np.percentile(tally.cpu_s, (50, 95)) * 1e3
    print(f"\nCPU a burst: median {median_ms:.1f} ms, 95% below {most_ms:.1f} ms")
    if arguments.real:
        real_views(arguments.real)


def _frozen(street: Street) -> Iterator[tuple[str, bool]]:
    names = ("frozen, the same bytes", "frozen, its clock runs on", "frozen, encoded anew")
    for _ in range(10):
        for name, judgement in zip(names, street.frozen(), strict=True):
            yield name, not judgement.may_decide


def _moved(street: Street, watched: Sequence[str], seed: int) -> Iterator[tuple[str, bool]]:
    for turn in _TURNS:
        turned = Day(watched, seed=seed, turned_m=turn)
        for weather in Weather:
            street.now_s += _EVERY_S
            light = 7 if weather in _NIGHTTIME else 4
            shot = turned.shoot(weather, some_cars(watched, street.rng), street.rng, light=light)
            judgement = street.judge(shot.image, watched[0])
            yield f"moved, {weather.value}", not WITHHOLDS.isdisjoint(judgement.doubts)


def _poor(street: Street) -> Iterator[tuple[str, bool]]:
    """Pictures that are black, white, out of focus or of half the size, in daylight."""
    day = street.day.shoot(Weather.SUN, {}, street.rng, light=12).image
    pictures = (
        ("black", np.zeros_like(day), Doubt.DARK),
        ("white", np.full_like(day, 255), Doubt.OVEREXPOSED),
        ("covered", np.full_like(day, 120), Doubt.COVERED),
        ("out of focus by 5 px", cv2.GaussianBlur(day, (0, 0), 5), Doubt.BLURRED),
        (
            "half the size",
            cv2.resize(day, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
            Doubt.OTHER_SIZE,
        ),
    )
    for name, image, doubt in pictures:
        street.now_s += _EVERY_S
        yield name, doubt in street.judge(np.asarray(image, np.uint8), street.day.watched[0]).doubts


if __name__ == "__main__":
    main()
