"""A picture is doubted before its plate decides: what a view in order and a view gone wrong are judged to
be."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edged.demo.days import Day, Weather
from edged.picture import Image, decode_jpeg, encode_jpeg
from edged.view import CameraWatch, Doubt, Judgement, Occasion, ViewPlan, look_at

BERTHS = ("1002", "1003")
CAR = {"1002": "京A12345"}
NOON = Occasion(berth_no="1002", hour=12, day=1)
HOUR_S = 3600.0


@pytest.fixture(scope="module")
def street() -> Day:
    return Day(BERTHS, seed=21)


class Camera:
    """A watched camera whose pictures come half an hour apart unless said otherwise."""

    def __init__(self, street: Day, **plan: tuple[int, int] | None) -> None:
        outlines = {berth_no: street.outline(berth_no) for berth_no in street.watched}
        self.street = street
        self.watch = CameraWatch({None: ViewPlan(outlines=outlines, **plan)})
        self.rng = np.random.default_rng(3)
        self.now_s = 0.0

    def picture(self, weather: Weather = Weather.SUN, cars: dict[str, str] | None = None) -> Image:
        return self.street.shoot(weather, cars or {}, self.rng).image

    def judge(self, image: Image, occasion: Occasion = NOON, *, after_s: float = 1800.0) -> Judgement:
        self.now_s += after_s
        return self.watch.judge(look_at(image, taken_s=self.now_s), occasion)

    def vacant(self) -> Judgement:
        return self.judge(self.picture(), replace(NOON, is_vacant=True))

    def arrival(self, image: Image, *, after_s: float = 60.0) -> Judgement:
        """Judge the first picture of a vehicle that came two seconds before it."""
        return self.judge(image, replace(NOON, arrived_s=self.now_s + after_s - 2), after_s=after_s)


@pytest.fixture
def camera(street: Day) -> Camera:
    camera = Camera(street)
    assert camera.vacant().may_decide
    return camera


@pytest.mark.parametrize("weather", list(Weather))
def test_a_view_in_order_is_not_doubted_whatever_the_weather(camera: Camera, weather: Weather) -> None:
    judgement = camera.judge(camera.picture(weather, {"1003": "沪B6Q871"}))

    assert judgement.may_decide
    assert judgement.is_proven
    assert judgement.doubts == ()


def test_a_picture_that_is_older_than_the_car_gives_no_plate(camera: Camera) -> None:
    frozen = camera.picture(cars=CAR)
    camera.judge(frozen)

    assert camera.arrival(frozen).doubts == (Doubt.FROZEN,)
    assert not camera.arrival(frozen).may_decide


def test_a_clock_in_the_picture_does_not_hide_that_it_is_frozen(camera: Camera) -> None:
    frozen = camera.picture(cars=CAR)
    camera.judge(frozen)
    with_clock = frozen.copy()
    cv2.putText(with_clock, "12:30:07", (40, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (255, 255, 255), 3)

    assert Doubt.FROZEN in camera.arrival(with_clock).doubts


def test_a_camera_may_answer_from_its_cache_for_seconds(camera: Camera) -> None:
    picture = camera.picture(cars=CAR)
    camera.arrival(picture)

    again = camera.judge(picture, after_s=2.0)

    assert again.may_decide
    assert Doubt.FROZEN in camera.judge(picture, after_s=20.0).doubts


def test_a_cached_picture_from_before_the_car_decides_nothing(camera: Camera) -> None:
    picture = camera.picture(cars=CAR)
    camera.judge(picture)

    judgement = camera.arrival(picture, after_s=5.0)

    assert not judgement.may_decide
    assert Doubt.FROZEN not in judgement.doubts


def test_a_frozen_picture_that_is_encoded_anew_shows_no_change_in_the_berth(camera: Camera) -> None:
    frozen = camera.picture()
    camera.judge(frozen, replace(NOON, is_vacant=True))

    judgement = camera.arrival(decode_jpeg(encode_jpeg(frozen, quality=60)))

    assert Doubt.NOTHING_CHANGED in judgement.doubts
    assert not judgement.may_decide


def test_a_car_that_came_changes_its_berth(camera: Camera) -> None:
    assert camera.arrival(camera.picture(cars=CAR)).may_decide


def test_an_empty_berth_is_recognised(camera: Camera) -> None:
    assert camera.judge(camera.picture()).looks_empty
    assert camera.judge(camera.picture(cars=CAR)).looks_empty is False


@pytest.mark.parametrize("turned_m", [(1.25, 0.0), (-1.25, 0.0), (2.5, 0.0), (0.0, 1.25), (5.0, 0.0)])
@pytest.mark.parametrize("weather", [Weather.SUN, Weather.NIGHT])
def test_a_camera_turned_by_half_a_berth_is_found(
    camera: Camera, turned_m: tuple[float, float], weather: Weather
) -> None:
    turned = Day(BERTHS, seed=21, turned_m=turned_m).shoot(weather, CAR, camera.rng)

    judgement = camera.judge(turned.image)

    assert Doubt.MOVED in judgement.doubts
    assert not judgement.may_decide


def test_a_camera_turned_to_a_place_much_darker_than_usual_at_that_hour_is_found(camera: Camera) -> None:
    for _ in range(6):
        assert camera.vacant().may_decide
    turned = Day(BERTHS, seed=21, turned_m=(2.5, 0.0)).shoot(Weather.SUN, CAR, camera.rng).image
    judgements = [camera.judge(np.asarray(turned * dim, np.uint8)) for dim in (0.20, 0.21)]

    assert judgements[1].doubts == (Doubt.MOVED, Doubt.DARK)
    assert not any(judgement.may_decide for judgement in judgements)


def test_a_camera_turned_back_is_believed_again(camera: Camera) -> None:
    camera.judge(Day(BERTHS, seed=21, turned_m=(2.5, 0.0)).shoot(Weather.SUN, {}, camera.rng).image)

    assert camera.judge(camera.picture(cars=CAR)).may_decide


def test_a_preset_that_is_answered_but_not_reached_is_found_by_the_first_picture(street: Day) -> None:
    plans = {preset: ViewPlan(outlines={no: None}) for preset, no in ((1, "1002"), (2, "1003"))}
    watch = CameraWatch(plans)
    rng = np.random.default_rng(1)

    def judged(preset: int, berth_no: str, now_s: float) -> Judgement:
        sight = look_at(street.shoot(Weather.SUN, CAR, rng).image, taken_s=now_s)
        return watch.judge(sight, Occasion(berth_no=berth_no, preset=preset, hour=12, day=1))

    assert judged(1, "1002", 0.0).may_decide
    assert judged(2, "1003", 60.0).doubts == (Doubt.PRESET_NOT_REACHED,)


@pytest.mark.parametrize(
    ("spoilt", "doubt"),
    [
        (lambda image: np.zeros_like(image), Doubt.DARK),
        (lambda image: np.full_like(image, 255), Doubt.OVEREXPOSED),
        (lambda image: np.full_like(image, 120), Doubt.COVERED),
        (lambda image: cv2.GaussianBlur(image, (0, 0), 5), Doubt.BLURRED),
        (lambda image: cv2.resize(image, (960, 540), interpolation=cv2.INTER_AREA), Doubt.OTHER_SIZE),
    ],
)
def test_a_spoilt_picture_is_named_for_what_it_is(
    camera: Camera, spoilt: Callable[[Image], Image], doubt: Doubt
) -> None:
    assert doubt in camera.judge(spoilt(camera.picture())).doubts


def test_an_outline_keeps_the_size_of_the_picture_that_it_was_drawn_on(street: Day) -> None:
    camera = Camera(street, picture_size=(2560, 1440))

    assert camera.vacant().doubts == (Doubt.OTHER_SIZE,)


def test_twice_much_darker_than_usual_at_that_hour_is_dark(camera: Camera) -> None:
    for _ in range(6):
        assert camera.vacant().may_decide
    dim = [np.asarray(camera.picture() * 0.2, np.uint8) for _ in range(2)]

    assert camera.judge(dim[0]).doubts == ()
    assert camera.judge(dim[1]).doubts == (Doubt.DARK,)


def test_the_reference_is_renewed_daily_while_it_still_matches(camera: Camera) -> None:
    reference = camera.watch.views[None].reference
    for day in range(4):
        for _ in range(10):
            camera.judge(camera.picture(), replace(NOON, day=day))

    assert reference.is_settled
    assert reference.day == 3
    turned = Day(BERTHS, seed=21, turned_m=(2.5, 0.0)).shoot(Weather.SUN, {}, camera.rng)
    camera.judge(turned.image, replace(NOON, day=5))
    assert camera.judge(camera.picture(cars=CAR), replace(NOON, day=6)).may_decide
