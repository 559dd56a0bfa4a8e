"""What every camera promises, whatever it is made of."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from hostile_camera import HostileCamera, OpenCamera
from rtsp_source import RtspSource, free_of_listeners

from edged.camera import Camera, CameraError, CameraFault, open_camera
from edged.picture import decode_jpeg, decode_picture
from edged.settings.model import CameraKind, CameraSettings

Opened = Callable[..., Camera]


@pytest.fixture(params=["http", "rtsp", "folder"])
def opened(
    request: pytest.FixtureRequest, jpeg: bytes, tmp_path: Path, open_http: OpenCamera
) -> Iterator[Opened]:
    """Open a camera that shows `jpeg`, of each kind."""
    with ExitStack() as stack:
        changes: dict[str, object] = {"kind": CameraKind(request.param)}
        match request.param:
            case "http":
                source = stack.enter_context(HostileCamera(jpeg)).url
            case "rtsp":
                source = stack.enter_context(RtspSource(jpeg)).url
                changes |= {"username": None, "timeout_s": 5.0}
            case _:
                (tmp_path / "pictures").mkdir()
                (tmp_path / "pictures" / "1.jpg").write_bytes(jpeg)
                source = str(tmp_path / "pictures")
        yield lambda **more: open_http(source, **(changes | more))


def test_a_frame_is_the_picture_before_the_lens(opened: Opened, jpeg: bytes) -> None:
    before_s = time.monotonic()
    frame = opened().frame()
    assert before_s <= frame.taken_monotonic_s <= time.monotonic()
    assert frame.decode().dtype == np.uint8
    shown = decode_jpeg(jpeg).astype(int)
    assert frame.decode().shape == shown.shape
    assert np.abs(frame.decode().astype(int) - shown).mean() < 6  # decoders differ in colour


def test_a_burst_has_its_frames_in_order_of_time(opened: Opened) -> None:
    frames = opened().burst(3)
    assert len(frames) == 3
    times_s = [frame.taken_monotonic_s for frame in frames]
    assert times_s == sorted(times_s)


def test_frames_keep_the_least_interval(opened: Opened) -> None:
    first, second = opened(min_interval_s=0.12).burst(2)
    assert second.taken_monotonic_s - first.taken_monotonic_s >= 0.11


def test_a_burst_of_nothing_is_refused(opened: Opened) -> None:
    with pytest.raises(ValueError, match="at least one"):
        opened().burst(0)


def test_a_closed_camera_can_be_used_again(opened: Opened) -> None:
    camera = opened()
    camera.frame()
    camera.close()
    assert camera.frame().decode().shape[2] == 3


def test_a_frame_waits_as_an_encoded_picture(opened: Opened) -> None:
    frame = opened().frame()
    image = frame.decode()
    assert len(frame.data) < image.nbytes / 2
    assert np.array_equal(decode_picture(frame.data), image)


def video(source: str, timeout_s: float = 1.0, stop: threading.Event | None = None, **more: object) -> Camera:
    values: dict[str, object] = {"name": "east", "kind": CameraKind.RTSP, "source": source}
    more = {"timeout_s": timeout_s} | more
    return open_camera(CameraSettings(**(values | more)), stop=stop)  # type: ignore[arg-type]


def test_a_stream_that_falls_silent_is_given_up_and_its_process_killed(jpeg: bytes) -> None:
    with RtspSource(jpeg, frames=4) as source:
        frames = video(source.url, min_interval_s=0.0).burst(50)
    assert 1 <= len(frames) <= 4


def test_a_stream_that_never_begins_is_a_fault_in_bounded_time(jpeg: bytes) -> None:
    with RtspSource(jpeg, silent=True) as source, pytest.raises(CameraError, match="camera 'east'") as caught:
        video(source.url, timeout_s=0.5).frame()
    assert caught.value.fault in (CameraFault.TIMEOUT, CameraFault.NO_STREAM)


def test_no_stream_at_all_is_named_without_its_password() -> None:
    source = free_of_listeners().replace("rtsp://", "rtsp://admin:secret@")
    with pytest.raises(CameraError, match="check the path") as caught:
        video(source).frame()
    assert caught.value.fault is CameraFault.NO_STREAM
    assert "secret" not in str(caught.value)


def test_a_missing_video_device_is_named() -> None:
    with pytest.raises(CameraError, match="/dev/video77"):
        video("/dev/video77", kind=CameraKind.V4L2).frame()


def test_stopping_ends_the_wait_for_a_stream(jpeg: bytes) -> None:
    stop = threading.Event()
    with RtspSource(jpeg, silent=True) as source:
        threading.Timer(0.3, stop.set).start()
        with pytest.raises(CameraError) as caught:
            video(source.url, timeout_s=30, stop=stop).frame()
    assert caught.value.fault is CameraFault.STOPPED


@pytest.mark.parametrize(("preset", "fault"), [(None, CameraFault.NOT_FOUND), (3, CameraFault.NOT_FOUND)])
def test_an_empty_or_missing_folder_is_named(tmp_path: Path, preset: int | None, fault: CameraFault) -> None:
    with pytest.raises(CameraError, match=tmp_path.name) as caught:
        video(str(tmp_path), kind=CameraKind.FOLDER).frame(preset)
    assert caught.value.fault is fault


def test_a_folder_replays_its_pictures_by_name_and_by_preset(tmp_path: Path, jpeg: bytes) -> None:
    (tmp_path / "2").mkdir()
    for at, name in enumerate(("a.jpg", "b.jpg", "2/c.jpg")):
        (tmp_path / name).write_bytes(jpeg + bytes((at,)))
    (tmp_path / "notes.txt").write_text("not a picture")
    camera = video(str(tmp_path), kind=CameraKind.FOLDER, min_interval_s=0.0)
    frames = [*camera.burst(3), *camera.burst(1, preset=2)]
    assert [frame.data[-1] for frame in frames] == [0, 1, 0, 2]


def test_a_damaged_picture_in_a_folder_is_named(tmp_path: Path, jpeg: bytes) -> None:
    (tmp_path / "half.jpg").write_bytes(jpeg[:500])
    with pytest.raises(CameraError, match=r"half\.jpg.*cut off"):
        video(str(tmp_path), kind=CameraKind.FOLDER).frame()
