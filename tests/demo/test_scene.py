"""The rendered street is what the demo says it is."""

import numpy as np
import pytest

from edged.demo.plates import draw_plate, usual_kind
from edged.demo.scene import Scene
from edged.demo.sensor import Sensor
from edged.domain.plate import PROVINCES, SPECIAL, PlateKind
from edged.picture.plate_face import draw_character

BERTHS = ("1001", "1002", "1003", "1004")


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(BERTHS, BERTHS[:2], seed=1, is_day=True, width_px=960, height_px=540)


def inside(polygon: tuple[tuple[int, int], ...], x: float, y: float) -> bool:
    turns = []
    for (ax, ay), (bx, by) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        turns.append((bx - ax) * (y - ay) - (by - ay) * (x - ax))
    return min(turns) > 0 or max(turns) < 0


def test_every_character_of_every_plate_can_be_drawn() -> None:
    for character in PROVINCES + SPECIAL + "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789":
        cover = draw_character(character, width_px=45, height_px=90)
        assert cover.shape == (90, 45)
        assert 0.1 < cover.mean() < 0.75, character


def test_no_two_characters_look_alike() -> None:
    characters = PROVINCES + SPECIAL + "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
    masks = {c: draw_character(c, width_px=22, height_px=45) for c in characters}
    for left in characters:
        for right in characters:
            if left < right:
                assert np.abs(masks[left] - masks[right]).mean() > 0.03, (left, right)


@pytest.mark.parametrize(
    ("text", "kind", "size"),
    [
        ("皖A8K362", PlateKind.SMALL_CAR, (880, 280)),
        ("京AD12345", PlateKind.SMALL_NEW_ENERGY, (960, 280)),
        ("粤B00127D", PlateKind.LARGE_NEW_ENERGY, (960, 280)),
        ("沪C1234学", PlateKind.COACH, (880, 280)),
        ("苏E2345警", PlateKind.POLICE, (880, 280)),
        ("粤Z12AB港", PlateKind.HK_MACAU, (880, 280)),
        ("鲁B1234挂", PlateKind.TRAILER, (880, 440)),
    ],
)
def test_a_plate_has_the_size_of_its_kind(text: str, kind: PlateKind, size: tuple[int, int]) -> None:
    assert usual_kind(text) is kind
    assert draw_plate(text, kind, np.random.default_rng(0)).image.shape[1::-1] == size


def test_an_impossible_plate_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match="京A12345"):
        usual_kind("ZZZ")


def test_each_plate_stands_in_its_own_berths_polygon(scene: Scene) -> None:
    rendered = scene.render({"1001": "皖A8K362", "1002": "京AD12345"})
    for berth_no, corners in rendered.plates.items():
        x, y = corners.mean(axis=0)
        others = [other for other in BERTHS[:2] if other != berth_no]
        assert inside(scene.polygon(berth_no), x, y)
        assert not any(inside(scene.polygon(other), x, y) for other in others)


def test_the_same_seed_gives_the_same_picture(scene: Scene) -> None:
    again = Scene(BERTHS, BERTHS[:2], seed=1, is_day=True, width_px=960, height_px=540)
    cars = {"1001": "皖A8K362"}
    assert np.array_equal(scene.render(cars).image, again.render(cars).image)


def test_night_is_darker_than_day_and_lamps_are_brighter_than_night() -> None:
    night = Scene(BERTHS, BERTHS[:2], seed=1, is_day=False, width_px=480, height_px=270)
    dark = night.render({"1001": "皖A8K362"}).image
    lit = night.render({"1001": "皖A8K362"}, lights_on=["1001"]).image
    assert dark.mean() < 70
    assert lit.mean() > dark.mean()


def test_frames_of_a_burst_differ_by_noise_only(scene: Scene) -> None:
    image = scene.render({}).image
    rng = np.random.default_rng(0)
    sensor = Sensor(960, 540, is_day=True, rng=rng)
    first, second = (sensor.frame(image, rng).astype(float) for _ in range(2))
    assert 0.5 < np.abs(first - second).mean() < 6
