"""What all cameras share: one burst at a time, aim -> settle -> shoot."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator

from edged.camera.http_access import HttpAccess
from edged.camera.port import CameraError, CameraFault, Frame
from edged.settings.model import CameraSettings


class TurnTakingCamera(ABC):
    """A camera that several berths share.

    The lock is held from aiming to the last frame: with a moving camera that is what keeps a neighbour's
    plate out of a berth's picture. The preset is requested before each burst, even if it was the last
    one: an operator may have turned the camera meanwhile.
    """

    def __init__(self, settings: CameraSettings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._turn = threading.Lock()
        self._http = HttpAccess(settings, stop)

    @property
    def name(self) -> str:
        return self._settings.name

    def frame(self, preset: int | None = None) -> Frame:
        return self.burst(1, preset)[0]

    def burst(self, count: int, preset: int | None = None) -> tuple[Frame, ...]:
        if count < 1:
            raise ValueError(f"a burst has at least one frame, got {count}")
        with self._turn:
            self._aim(preset)
            frames: list[Frame] = []
            try:
                for frame in self._shoot(count, preset):
                    frames.append(frame)
            except CameraError:
                if not frames:
                    raise
            return tuple(frames)

    def close(self) -> None:
        with self._turn:
            self._http.close()

    @abstractmethod
    def _shoot(self, count: int, preset: int | None) -> Iterator[Frame]:
        """Yield `count` frames; raise CameraError."""

    def _aim(self, preset: int | None) -> None:
        template = self._settings.preset_url
        if preset is None or self._aims_itself():
            return
        if template is None:
            raise self._error(CameraFault.NO_PRESET, f"preset {preset} is asked for without a `preset_url`")
        self._http.fetch(self._settings.preset_method, template.replace("{preset}", str(preset)))
        self._wait(self._settings.settle_s)

    def _aims_itself(self) -> bool:
        return False

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(max(0.0, seconds)):
            raise self._error(CameraFault.STOPPED, "stopped while waiting for the camera")

    def _error(self, fault: CameraFault, what: str) -> CameraError:
        return CameraError(self.name, self._settings.source, fault, what)
