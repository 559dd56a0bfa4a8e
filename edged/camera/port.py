"""What a camera is to the rest of the house, and what can go wrong with one."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from edged.domain.trouble import TroubleError
from edged.picture import Image, decode_picture
from edged.settings.addresses import masked_url


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One video frame as an encoded picture: a camera's JPEG, or what a folder holds.

    It stays encoded while it waits: decoded, an 8-megapixel frame takes 25 MB. `taken_monotonic_s` is when
    the request for it went out, on the monotonic clock.
    """

    data: bytes
    taken_monotonic_s: float

    def decode(self) -> Image:
        """Return the picture, height x width x 3, BGR. Each call decodes anew. Raises PictureError."""
        return decode_picture(self.data)


class Camera(Protocol):
    """One camera; safe to share between threads, which then take turns.

    Both methods block, and raise CameraError. They aim the camera at `preset` first when one is given.
    """

    @property
    def name(self) -> str: ...

    def frame(self, preset: int | None = None) -> Frame:
        """Return one frame."""

    def burst(self, count: int, preset: int | None = None) -> tuple[Frame, ...]:
        """Return 1 to `count` frames: what was taken before a fault ends the burst is still returned."""

    def close(self) -> None:
        """Let go of connections; the camera may be used again afterwards."""


class CameraFault(StrEnum):
    """Why there is no picture."""

    UNAUTHORIZED = "unauthorized"
    PASSWORD_FILE = "password_file"
    NOT_FOUND = "not_found"
    BUSY = "busy"
    HTTP_STATUS = "http_status"
    REDIRECTED = "redirected"
    REFUSED = "refused"
    UNKNOWN_HOST = "unknown_host"
    BROKEN_OFF = "broken_off"
    BAD_ANSWER = "bad_answer"
    TLS = "tls"
    TIMEOUT = "timeout"
    NO_PICTURE = "no_picture"
    CUT_OFF = "cut_off"
    TOO_LARGE = "too_large"
    NO_STREAM = "no_stream"
    NO_PRESET = "no_preset"
    STOPPED = "stopped"


REMEDIES: dict[CameraFault, str] = {
    CameraFault.UNAUTHORIZED: (
        "check `username` and `password_file`; after 5-7 wrong logins some cameras refuse all for 30 min"
    ),
    CameraFault.PASSWORD_FILE: "let `password_file` name a file that the daemon's user may read",
    CameraFault.NOT_FOUND: "check the path of `source` against the camera's manual",
    CameraFault.BUSY: "close other viewers of the camera, or raise `min_interval_s`",
    CameraFault.HTTP_STATUS: "open the address in a browser on the camera's network",
    CameraFault.REDIRECTED: "set `source` to the address itself; other hosts are never asked",
    CameraFault.REFUSED: "check that the camera is on and that the port in `source` is its HTTP or RTSP port",
    CameraFault.UNKNOWN_HOST: "check the host name in `source`, or use the camera's IP address",
    CameraFault.BROKEN_OFF: "check cable and power of the camera",
    CameraFault.BAD_ANSWER: "check that the port in `source` is the camera's HTTP port",
    CameraFault.TLS: "use an http:// address on the pole's own network, or install the camera's certificate",
    CameraFault.TIMEOUT: "check cable, power and address of the camera; raise `timeout_s` for a slow one",
    CameraFault.NO_PICTURE: "let `source` name the camera's JPEG snapshot, not its web page",
    CameraFault.CUT_OFF: "check the network to the camera; lower its picture size",
    CameraFault.TOO_LARGE: 'lower the camera\'s resolution; a video stream needs `kind = "rtsp"`',
    CameraFault.NO_STREAM: "check the path of `source`, and that the stream's codec is H.264, H.265 or MJPEG",
    CameraFault.NO_PRESET: "give the camera a `preset_url`, or the berth a `polygon` instead of a `preset`",
    CameraFault.STOPPED: "the daemon is stopping; nothing to do",
}


class CameraError(TroubleError):
    """No picture: which camera, where, why, and what to do about it.

    `fault` is the cause to decide by; the message is for people and holds no password.
    """

    def __init__(self, camera: str, source: str, fault: CameraFault, cause: str) -> None:
        super().__init__(f"camera {camera!r} ({masked_url(source)})", cause, REMEDIES[fault])
        self.camera = camera
        self.fault = fault
