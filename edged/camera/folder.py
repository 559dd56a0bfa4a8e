"""Pictures from a folder, replayed in the order of their names, over and over."""

import time
from collections.abc import Iterator
from pathlib import Path

from edged.camera.port import CameraFault, Frame
from edged.camera.turns import TurnTakingCamera
from edged.picture import PictureError, decode_picture

_SUFFIXES = frozenset((".jpg", ".jpeg", ".png"))


class FolderCamera(TurnTakingCamera):
    """`source` is the folder; a berth's preset N is replayed from its subfolder `N`."""

    _next = 0

    def _aims_itself(self) -> bool:
        return True

    def _shoot(self, count: int, preset: int | None) -> Iterator[Frame]:
        folder = Path(self._settings.source)
        if preset is not None:
            folder = folder / str(preset)
        paths = self._pictures(folder)
        for index in range(count):
            if index:
                self._wait(self._settings.min_interval_s)
            taken_s = time.monotonic()
            path = paths[self._next % len(paths)]
            self._next += 1
            yield Frame(data=self._read(path), taken_monotonic_s=taken_s)

    def _pictures(self, folder: Path) -> list[Path]:
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
        except OSError as exc:
            raise self._error(
                CameraFault.NOT_FOUND, f"folder {folder} cannot be read ({exc.strerror})"
            ) from exc
        if not paths:
            raise self._error(CameraFault.NOT_FOUND, f"folder {folder} holds no .jpg or .png")
        return paths

    def _read(self, path: Path) -> bytes:
        try:
            data = path.read_bytes()
            decode_picture(data)  # no markers to walk in a PNG: decoding tells whether it is whole
        except OSError as exc:
            raise self._error(CameraFault.NOT_FOUND, f"{path} cannot be read ({exc.strerror})") from exc
        except PictureError as exc:
            raise self._error(CameraFault.NO_PICTURE, f"{path}: {exc}") from exc
        return data
