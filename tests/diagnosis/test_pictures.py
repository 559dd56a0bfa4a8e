"""`edged diag` judges what a camera shows, also when no daemon runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from edged.demo.days import Day, Weather
from edged.diagnosis.parts import check_camera
from edged.domain.health import HealthStatus
from edged.picture import Image, encode_jpeg
from edged.settings import BerthSettings, CameraSettings


@contextmanager
def showing(image: Image) -> Iterator[CameraSettings]:
    """Serve the picture as an HTTP camera does."""
    body = encode_jpeg(image)

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield CameraSettings(name="high", source=f"http://127.0.0.1:{server.server_port}/")
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def picture() -> Image:
    return Day(("1002",), seed=21).shoot(Weather.SUN, {}, np.random.default_rng(1)).image


def test_a_picture_in_order_is_green(picture: Image) -> None:
    with showing(picture) as camera:
        [finding] = check_camera(camera, [])
    assert finding.status is HealthStatus.OK


def test_a_picture_out_of_focus_is_yellow_with_its_remedy(picture: Image) -> None:
    with showing(np.asarray(cv2.GaussianBlur(picture, (0, 0), 6), np.uint8)) as camera:
        [finding] = check_camera(camera, [])
    assert finding.status is HealthStatus.DEGRADED
    assert "blurred" in finding.cause
    assert "focus" in finding.remedy


def test_an_outline_drawn_on_a_picture_of_another_size_is_red(picture: Image) -> None:
    outline = ((100, 100), (300, 100), (300, 300))
    berth = BerthSettings(
        berth_no="1002", sensor="s", camera="high", polygon=outline, picture_size=(2560, 1440)
    )
    with showing(picture) as camera:
        [finding] = check_camera(camera, [berth])
    assert finding.status is HealthStatus.FAILED
    assert "2560x1440" in finding.cause
