"""Cameras: HTTP snapshots, RTSP, V4L2, folder replay, all behind one port.

`open_camera(settings, stop=...)` builds one and connects to nothing yet; `frame()` and `burst()` then
return pictures or raise `CameraError`, whose `fault` is one of the closed list `CameraFault` and whose
message names camera, address (without password), cause and remedy. `evidence` makes the small picture
with time, berth and device burnt in.
"""

import threading
from collections.abc import Callable

from edged.camera.evidence import annotate, compress
from edged.camera.folder import FolderCamera
from edged.camera.http_snapshot import HttpSnapshotCamera
from edged.camera.port import Camera, CameraError, CameraFault, Frame
from edged.camera.video import VideoCamera
from edged.settings.model import CameraKind, CameraSettings

__all__ = [
    "Camera",
    "CameraError",
    "CameraFault",
    "Frame",
    "annotate",
    "compress",
    "open_camera",
]

_KINDS: dict[CameraKind, Callable[[CameraSettings, threading.Event], Camera]] = {
    CameraKind.HTTP: HttpSnapshotCamera,
    CameraKind.RTSP: VideoCamera,
    CameraKind.V4L2: VideoCamera,
    CameraKind.FOLDER: FolderCamera,
}


def open_camera(settings: CameraSettings, *, stop: threading.Event | None = None) -> Camera:
    """Return the camera of `settings`. Setting `stop` ends its waits with CameraFault.STOPPED."""
    return _KINDS[settings.kind](settings, stop or threading.Event())
