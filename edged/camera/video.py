"""RTSP streams and V4L2 devices, decoded in a child process that can be killed."""

import json
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator

from edged.camera.port import CameraFault, Frame
from edged.camera.turns import TurnTakingCamera
from edged.picture import MAX_PIXELS
from edged.picture.video_child import HEADER

_START_S = 5.0  # interpreter and OpenCV, on a slow box under load


class VideoCamera(TurnTakingCamera):
    """`source` is an rtsp:// address or a /dev/video path.

    The child lives for one burst: between two cars, a stream that is decoded for nobody would cost a
    core of the box. A source that gives nothing for `timeout_s` is killed.
    """

    def _shoot(self, count: int, preset: int | None) -> Iterator[Frame]:
        request = {
            "kind": self._settings.kind,
            "source": self._source(),
            "count": count,
            "interval_s": self._settings.min_interval_s,
            "timeout_s": self._settings.timeout_s,
        }
        with subprocess.Popen(
            [sys.executable, "-m", "edged.picture.video_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        ) as child:
            try:
                yield from self._received(child, (json.dumps(request) + "\n").encode(), count)
            finally:
                child.kill()

    def _received(self, child: "subprocess.Popen[bytes]", request: bytes, count: int) -> Iterator[Frame]:
        assert child.stdin is not None
        try:
            child.stdin.write(request)
        except BrokenPipeError as exc:
            raise self._error(CameraFault.NO_STREAM, "the video process died at its start") from exc
        deadline_s = (
            time.monotonic() + _START_S + 2 * self._settings.timeout_s
        )  # to open, and to the first keyframe
        for _ in range(count):
            size_bytes, taken_s = HEADER.unpack(self._read(child, HEADER.size, deadline_s))
            if not size_bytes:
                raise self._error(CameraFault.TOO_LARGE, f"sends frames of over {MAX_PIXELS} pixels")
            jpeg = self._read(child, size_bytes, deadline_s)
            yield Frame(data=bytes(jpeg), taken_monotonic_s=taken_s)
            deadline_s = time.monotonic() + self._settings.min_interval_s + self._settings.timeout_s

    def _read(self, child: "subprocess.Popen[bytes]", size_bytes: int, deadline_s: float) -> bytearray:
        assert child.stdout is not None
        data = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while len(data) < size_bytes:
                if self._stop.is_set():
                    raise self._error(CameraFault.STOPPED, "stopped while waiting for the stream")
                if time.monotonic() > deadline_s:
                    raise self._error(
                        CameraFault.TIMEOUT, f"gave no frame within {self._settings.timeout_s:g} s"
                    )
                if not selector.select(timeout=0.2):
                    continue
                piece = child.stdout.read(size_bytes - len(data))
                if not piece:
                    raise self._error(CameraFault.NO_STREAM, "cannot be opened, or ended without a frame")
                data += piece
        return data

    def _source(self) -> str:
        return self._http.with_credentials(self._settings.source)
