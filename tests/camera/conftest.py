import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from hostile_camera import PASSWORD, USER, OpenCamera

from edged.camera import Camera, open_camera
from edged.picture import encode_jpeg
from edged.settings.model import CameraKind, CameraSettings


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    rng = np.random.default_rng(3)
    return encode_jpeg(cv2.resize(rng.integers(0, 255, (27, 48, 3), np.uint8), (480, 272)))


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "camera.password"
    path.write_text(PASSWORD + "\n")
    return path


@pytest.fixture
def open_http(password_file: Path) -> OpenCamera:
    """Open an HTTP camera that is asked fast and given up soon."""

    def opened(url: str, *, stop: threading.Event | None = None, **changes: object) -> Camera:
        values: dict[str, object] = {
            "name": "north",
            "kind": CameraKind.HTTP,
            "source": url,
            "username": USER,
            "password_file": password_file,
            "timeout_s": 0.5,
            "min_interval_s": 0.0,
            "settle_s": 0.0,
        }
        return open_camera(CameraSettings(**(values | changes)), stop=stop)  # type: ignore[arg-type]

    return opened
