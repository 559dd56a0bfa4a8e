"""The simulated camera as a process, asked by the daemon's own camera client."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.camera import Camera, CameraError, CameraFault, open_camera
from edged.picture import encode_jpeg
from edged.settings.model import CameraKind, CameraSettings
from firmware_bridge.errors import BridgeError
from firmware_bridge.simulator import send_command

CONFIG = """
username = "edged"
password = "secret"
control = "{control}"
seed = 3
berths = ["1001", "1002"]
[[channel]]
number = 101
berths = ["1001", "1002"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("camera")


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    (folder / "camera.toml").write_text(CONFIG.format(control=folder / "sock"))
    (folder / "password").write_text("secret")
    command = [sys.executable, "-m", "edged.demo.camera_server", "--config", str(folder / "camera.toml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert set(ready["polygons"]) == {"1001", "1002"}
        yield ready["port"]
        process.terminate()
        assert process.wait(10) == 0
    assert not (folder / "sock").exists()


@pytest.fixture
def camera(folder: Path, port: int) -> Camera:
    settings = CameraSettings(
        name="demo",
        kind=CameraKind.HTTP,
        source=f"http://127.0.0.1:{port}/ISAPI/Streaming/channels/101/picture",
        username="edged",
        password_file=folder / "password",
        min_interval_s=0,
    )
    return open_camera(settings)


def test_a_car_is_seen_when_the_command_is_answered(folder: Path, camera: Camera) -> None:
    empty = camera.frame().decode().astype(int)
    send_command(folder / "sock", {"do": "arrive", "berth_no": "1001", "plate": "京A12345"}, timeout_s=30)
    occupied = camera.frame().decode().astype(int)
    assert occupied.shape == (1080, 1920, 3)
    assert np.abs(occupied - empty).mean() > 8
    send_command(folder / "sock", {"do": "leave", "berth_no": "1001"}, timeout_s=30)
    assert np.abs(camera.frame().decode().astype(int) - empty).mean() < 4


def test_a_photograph_is_shown_as_it_is(folder: Path, camera: Camera) -> None:
    photo = folder / "photo.jpg"
    photo.write_bytes(
        encode_jpeg(cv2.resize(np.eye(9, dtype=np.uint8)[..., None].repeat(3, 2) * 255, (320, 240)))
    )
    send_command(folder / "sock", {"do": "arrive", "berth_no": "1002", "photo": str(photo)})
    assert camera.frame().data == photo.read_bytes()
    send_command(folder / "sock", {"do": "leave", "berth_no": "1002"})
    assert camera.frame().decode().shape == (1080, 1920, 3)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("404", CameraFault.NOT_FOUND),
        ("500", CameraFault.HTTP_STATUS),
        ("html", CameraFault.NO_PICTURE),
        ("cut_off", CameraFault.CUT_OFF),
        ("401", CameraFault.UNAUTHORIZED),
    ],
)
def test_faults_are_shown_and_mended(folder: Path, camera: Camera, answer: str, fault: CameraFault) -> None:
    send_command(folder / "sock", {"do": "faults", "answer": answer})
    try:
        with pytest.raises(CameraError) as caught:
            camera.frame()
        assert caught.value.fault is fault
    finally:
        send_command(folder / "sock", {"do": "faults", "answer": ""})


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ({"do": "arrive", "berth_no": "9", "plate": "京A12345"}, "1001, 1002"),
        ({"do": "arrive", "berth_no": "1001", "plate": "ABC"}, "京A12345"),
        ({"do": "arrive", "berth_no": "1001", "photo": "/nowhere.jpg"}, "nowhere"),
        ({"do": "fly"}, "arrive"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_with_a_remedy(
    folder: Path, port: int, command: dict[str, str], words: str
) -> None:
    with pytest.raises(BridgeError, match=words):
        send_command(folder / "sock", command, timeout_s=30)
