"""Pictures of cameras for `make bench-box`: drawn beforehand, so that serving them costs nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import cv2
import numpy as np

from edged.demo.cars import invented_cars
from edged.demo.scene import HEIGHT_PX, WIDTH_PX, Scene
from edged.demo.sensor import Sensor
from edged.picture import Image, encode_jpeg

_BERTHS, _WATCHED = ("1001", "1002", "1003"), "1002"
_SPARE_PICTURES = 8  # of a camera and a round, beside the bursts of its berths
_QUALITY = 85

Outline = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCamera:
    """A camera: what it sees without and with cars, and the outline of each of its berths."""

    vacant: Image
    occupied: Image
    outlines: tuple[Outline, ...]

    def pictures(self, image: Image, rng: np.random.Generator) -> list[bytes]:
        """Return JPEGs of one view, each with noise of its own: enough for a burst of each berth."""
        number = 5 * len(self.outlines) + _SPARE_PICTURES
        return [encode_jpeg(_noisy(image, rng), quality=_QUALITY) for _ in range(number)]


def one_berth(seed: int) -> ShownCamera:
    """Return a camera of 1920x1080 that watches one berth."""
    return _camera([_drawn(seed)])


def four_berths_in_one(seed: int) -> ShownCamera:
    """Return a camera of 3840x2160 (8.3 megapixels) that shows four streets, a berth in each quarter."""
    return _camera([_drawn(seed + number) for number in range(4)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    vacant: Image
    occupied: Image
    outline: Outline


def _drawn(seed: int) -> _Drawn:
    plate = next(car.plate for car in invented_cars(seed) if car.plate)
    scene = Scene(_BERTHS, (_WATCHED,), seed=seed, is_day=True)
    sensor = Sensor(WIDTH_PX, HEIGHT_PX, is_day=True, rng=np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    return _Drawn(
        vacant=sensor.frame(scene.render({}).image, rng),
        occupied=sensor.frame(scene.render({_WATCHED: plate}).image, rng),
        outline=scene.polygon(_WATCHED),
    )


def _camera(parts: list[_Drawn]) -> ShownCamera:
    """Lay parts side by side, two in a row."""
    places = [(index % 2 * WIDTH_PX, index // 2 * HEIGHT_PX) for index in range(len(parts))]
    outlines = tuple(
        tuple((x + left, y + top) for x, y in part.outline)
        for part, (left, top) in zip(parts, places, strict=True)
    )
    return ShownCamera(
        vacant=_laid_out([part.vacant for part in parts]),
        occupied=_laid_out([part.occupied for part in parts]),
        outlines=outlines,
    )


def _laid_out(images: list[Image]) -> Image:
    if len(images) == 1:
        return images[0]
    rows = [np.hstack(images[at : at + 2]) for at in range(0, len(images), 2)]
    return np.asarray(np.vstack(rows), np.uint8)


def _noisy(image: Image, rng: np.random.Generator) -> Image:
    cv2.setRNGSeed(int(rng.integers(1 << 30)))
    noise = cv2.randn(np.empty(image.shape, np.int16), 0, 3)
    return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)


class PictureServer:
    """Serves `cameras` at /0.jpg, /1.jpg, ...; `occupied` says whether all berths have their cars."""

    def __init__(self, cameras: list[ShownCamera]) -> None:
        self.cameras = cameras
        self.occupied = False
        self._rng = np.random.default_rng(1)
        self.renew()

    def renew(self) -> None:
        """Encode new pictures: one that comes again is an old picture to the daemon, and decides nothing."""
        self._pictures = [
            {occupied: shown.pictures(image, self._rng) for occupied, image in _views(shown)}
            for shown in self.cameras
        ]
        self._count = count()

    def picture(self, number: int) -> bytes:
        """Return the next picture of a camera."""
        pictures = self._pictures[number][self.occupied]
        return pictures[next(self._count) % len(pictures)]

    @contextmanager
    def listening(self) -> Iterator[int]:
        """Serve on loopback while the block lasts; yield the port."""
        pictures = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                jpeg = pictures.picture(int(self.path.strip("/").removesuffix(".jpg")))
                self.send_response(200)
                self.send_header("Content-Type", "image/jpeg")
                self.send_header("Content-Length", str(len(jpeg)))
                self.end_headers()
                self.wfile.write(jpeg)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _views(camera: ShownCamera) -> tuple[tuple[bool, Image], ...]:
    return (False, camera.vacant), (True, camera.occupied)
