"""Each way a camera fails has its own cause, message and remedy; what can be tried again is."""

import itertools
import socket
import threading
import time
from collections import deque
from pathlib import Path

import pytest
from hostile_camera import (
    PASSWORD,
    FaultPlan,
    HostileCamera,
    OpenCamera,
    answer,
    cut_off_behind,
    drip,
    drip_head,
    endless_stream,
    hang_up,
    silence,
)

from edged.camera import CameraError, CameraFault
from edged.settings.addresses import masked_url

PAGE = b"<!DOCTYPE html><title>WEB SERVICE</title>"


@pytest.mark.parametrize("auth", ["digest", "basic", "basic+digest", "sha256+md5", "none"])
@pytest.mark.parametrize("close_on_401", [False, True])
def test_the_scheme_is_chosen_from_the_challenge(
    open_http: OpenCamera, jpeg: bytes, auth: str, close_on_401: bool
) -> None:
    with HostileCamera(jpeg, FaultPlan(auth=auth, close_on_401=close_on_401)) as server:
        assert [frame.data for frame in open_http(server.url).burst(3)] == [jpeg] * 3
        assert server.logins_refused == 0


def test_a_stale_nonce_is_answered_with_a_new_one(open_http: OpenCamera, jpeg: bytes) -> None:
    with HostileCamera(jpeg) as server:
        camera = open_http(server.url)
        camera.frame()
        server.gates[0].forget_nonces()
        assert camera.frame().data == jpeg


@pytest.mark.parametrize(
    ("act", "fault", "words"),
    [
        (answer(404), CameraFault.NOT_FOUND, "404"),
        (answer(403), CameraFault.UNAUTHORIZED, "403"),
        (answer(500, b"internal trouble"), CameraFault.HTTP_STATUS, "internal trouble"),
        (answer(200, PAGE, "image/jpeg"), CameraFault.NO_PICTURE, "<!DOCTYPE html><title>WEB SERVICE"),
        (answer(200, b"", "image/jpeg"), CameraFault.NO_PICTURE, "no bytes at all"),
        (cut_off_behind(1000), CameraFault.CUT_OFF, "broke off in the middle"),
        (silence, CameraFault.TIMEOUT, "within 0.5 s"),
        (drip, CameraFault.TIMEOUT, "did not end within 1.5 s"),
        (drip_head, CameraFault.TIMEOUT, "did not end within 1.5 s"),
        (endless_stream, CameraFault.TOO_LARGE, "video stream"),
        (answer(302, Location="http://192.0.2.7/login"), CameraFault.REDIRECTED, "192.0.2.7"),
    ],
)
def test_a_fault_is_named_with_camera_address_and_remedy(
    open_http: OpenCamera, jpeg: bytes, act: object, fault: CameraFault, words: str
) -> None:
    with HostileCamera(jpeg, FaultPlan(acts=deque([act]))) as server:  # type: ignore[list-item]
        camera = open_http(server.url)
        with pytest.raises(CameraError) as caught:
            camera.frame()
        assert caught.value.fault is fault
        message = str(caught.value)
        assert words in message
        assert "camera 'north'" in message
        assert server.url in message
        assert message.endswith(caught.value.trouble.remedy)
        assert PASSWORD not in message


def test_a_jpeg_cut_off_by_the_camera_is_never_decoded(open_http: OpenCamera, jpeg: bytes) -> None:
    with (
        HostileCamera(jpeg[: len(jpeg) // 2]) as server,
        pytest.raises(CameraError, match="cut off") as caught,
    ):
        open_http(server.url).frame()
    assert caught.value.fault is CameraFault.CUT_OFF


def test_a_fault_is_forgotten_with_the_next_picture(open_http: OpenCamera, jpeg: bytes) -> None:
    with HostileCamera(jpeg, FaultPlan(acts=deque([cut_off_behind(10), silence]))) as server:
        camera = open_http(server.url)
        for _ in range(2):
            with pytest.raises(CameraError):
                camera.frame()
        assert camera.frame().data == jpeg


def test_a_burst_keeps_the_frames_before_a_fault(open_http: OpenCamera, jpeg: bytes) -> None:
    picture = answer(200, jpeg, "image/jpeg")
    with HostileCamera(jpeg, FaultPlan(acts=deque([picture, picture, answer(404)]))) as server:
        assert len(open_http(server.url).burst(5)) == 2


@pytest.mark.parametrize("act", [answer(503), hang_up])
def test_a_busy_or_hanging_up_camera_is_asked_again(open_http: OpenCamera, jpeg: bytes, act: object) -> None:
    with HostileCamera(jpeg, FaultPlan(acts=deque([act]))) as server:  # type: ignore[list-item]
        assert open_http(server.url).frame().data == jpeg


def test_a_connection_dropped_between_two_pictures_is_no_fault(open_http: OpenCamera, jpeg: bytes) -> None:
    with HostileCamera(jpeg, FaultPlan(drop_after_answer=True)) as server:
        assert len(open_http(server.url).burst(4)) == 4


def test_a_camera_that_stays_busy_is_reported_busy(open_http: OpenCamera, jpeg: bytes) -> None:
    with (
        HostileCamera(jpeg, FaultPlan(acts=deque([answer(503)] * 9))) as server,
        pytest.raises(CameraError, match="close other viewers") as caught,
    ):
        open_http(server.url).frame()
    assert caught.value.fault is CameraFault.BUSY


def test_a_wrong_password_is_not_repeated_until_it_is_changed(
    open_http: OpenCamera, jpeg: bytes, password_file: Path
) -> None:
    """Some cameras lock an address out after five wrong logins."""
    password_file.write_text("wrong")
    with HostileCamera(jpeg) as server:
        camera = open_http(server.url)
        for _ in range(5):
            with pytest.raises(CameraError) as caught:
                camera.frame()
            assert caught.value.fault is CameraFault.UNAUTHORIZED
            assert "wrong" not in str(caught.value).split(";")[0]
        assert server.logins_refused == 1
        password_file.write_text(PASSWORD)
        assert camera.frame().data == jpeg


def test_a_missing_password_file_is_named(open_http: OpenCamera, jpeg: bytes, tmp_path: Path) -> None:
    with HostileCamera(jpeg) as server, pytest.raises(CameraError, match=r"nowhere\.password") as caught:
        open_http(server.url, password_file=tmp_path / "nowhere.password").frame()
    assert caught.value.fault is CameraFault.PASSWORD_FILE


def test_a_closed_port_is_a_refusal(open_http: OpenCamera) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(CameraError) as caught:
            open_http(f"http://127.0.0.1:{unused.getsockname()[1]}/picture").frame()
    assert caught.value.fault is CameraFault.REFUSED


def test_an_unknown_host_is_no_timeout(open_http: OpenCamera) -> None:
    with pytest.raises(CameraError) as caught:
        open_http("http://camera.invalid/picture").frame()
    assert caught.value.fault is CameraFault.UNKNOWN_HOST


def test_a_redirect_on_the_same_host_is_followed(open_http: OpenCamera, jpeg: bytes) -> None:
    with HostileCamera(jpeg, FaultPlan(acts=deque([answer(302, Location="/moved")]))) as server:
        assert open_http(server.url).frame().data == jpeg


def test_requests_keep_their_distance(open_http: OpenCamera, jpeg: bytes) -> None:
    with HostileCamera(jpeg) as server:
        frames = open_http(server.url, min_interval_s=0.15).burst(3)
    times_s = [frame.taken_monotonic_s for frame in frames]
    assert all(b - a >= 0.15 for a, b in itertools.pairwise(times_s))


def test_a_preset_is_requested_and_settled_before_its_burst(open_http: OpenCamera, jpeg: bytes) -> None:
    with HostileCamera(jpeg) as server:
        camera = open_http(server.url, preset_url=server.root + "/presets/{preset}/goto", settle_s=0.2)
        camera.burst(2, preset=4)
        moved, first, _ = server.requests
    assert moved[1:] == ("PUT", "/presets/4/goto")
    assert first[0] - moved[0] >= 0.2


def test_two_berths_never_share_a_burst(open_http: OpenCamera, jpeg: bytes) -> None:
    with HostileCamera(jpeg) as server:
        camera = open_http(server.url, preset_url=server.root + "/{preset}", settle_s=0.02)
        threads = [threading.Thread(target=camera.burst, args=(3, preset)) for preset in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        methods = [method for _, method, _ in server.requests]
    assert methods == ["PUT", "GET", "GET", "GET"] * 3


def test_a_preset_without_an_address_is_refused(open_http: OpenCamera, jpeg: bytes) -> None:
    with HostileCamera(jpeg) as server, pytest.raises(CameraError, match="preset_url") as caught:
        open_http(server.url).frame(preset=1)
    assert caught.value.fault is CameraFault.NO_PRESET


def test_stopping_ends_a_wait(open_http: OpenCamera, jpeg: bytes) -> None:
    stop = threading.Event()
    with HostileCamera(jpeg) as server:
        camera = open_http(server.url, stop=stop, min_interval_s=60.0)
        camera.frame()
        timer = threading.Timer(0.05, stop.set)
        timer.start()
        began_s = time.monotonic()
        with pytest.raises(CameraError) as caught:
            camera.frame()
        timer.join()
    assert caught.value.fault is CameraFault.STOPPED
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://u:secret@10.0.0.5/pic", "http://10.0.0.5/pic"),
        ("http://10.0.0.5/snap.cgi?user=a&pwd=secret&chn=1", "http://10.0.0.5/snap.cgi?user=a&pwd=***&chn=1"),
        ("rtsp://10.0.0.5/user=a&password=secret&channel=1", "rtsp://10.0.0.5/user=a&password=***&channel=1"),
        ("rtsp://u:se/c#ret@10.0.0.5:554/live", "rtsp://10.0.0.5:554/live"),
        ("http://[u:secret@10.0.0.5/pic", "http://10.0.0.5/pic"),
        ("http://10.0.0.5:80/mail/a@b", "http://10.0.0.5:80/mail/a@b"),
    ],
)
def test_no_password_is_ever_shown(url: str, shown: str) -> None:
    assert masked_url(url) == shown
