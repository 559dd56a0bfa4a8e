"""The committed models on plates, cars and streets that training never saw."""

import numpy as np
import pytest

from edged.demo.cars import invented_cars
from edged.demo.scene import HEIGHT_PX, WIDTH_PX, Scene
from edged.demo.sensor import Sensor
from edged.domain.reading import fuse_burst
from edged.picture import decode_jpeg, encode_jpeg
from edged.vision.manifest import find_models
from edged.vision.pipeline import PlateVision

BERTHS = ("1001", "1002", "1003")
WATCHED = BERTHS[:2]


@pytest.fixture(scope="module")
def vision() -> PlateVision:
    return PlateVision.load(find_models())


@pytest.mark.parametrize(("seed", "is_day"), [(21, True), (22, False), (23, True), (24, False)])
def test_each_berth_shows_its_own_car(vision: PlateVision, seed: int, is_day: bool) -> None:
    """Both plates are found in their polygons, most characters are right, and no sure reading is wrong."""
    cars = dict(zip(BERTHS, invented_cars(seed), strict=False))
    plates = {berth_no: car.plate or "" for berth_no, car in cars.items()}
    scene = Scene(BERTHS, WATCHED, seed=seed, is_day=is_day)
    image = scene.render(plates, lights_on=["1001"]).image
    rng = np.random.default_rng(seed)
    sensor = Sensor(WIDTH_PX, HEIGHT_PX, is_day=is_day, rng=rng)
    frames = [decode_jpeg(encode_jpeg(sensor.frame(image, rng), quality=88)) for _ in range(3)]
    spec = vision.manifest.reader
    for berth_no in WATCHED:
        seen = [vision.read_frame(frame, scene.polygon(berth_no)) for frame in frames]
        fused = fuse_burst(seen, labels=spec.labels, accept_from=spec.accept_from)
        assert len(fused) == 1, f"berth {berth_no}: {[read.reading.text for read in fused]}"
        reading, expected = fused[0].reading, plates[berth_no]
        assert reading.text == expected or not reading.accepted
        right = sum(a == b for a, b in zip(reading.text, expected, strict=False))
        assert right >= len(expected) - 2, f"berth {berth_no}: read {reading.text}, stands {expected}"
