"""One JPEG a request: Hikvision ISAPI, Dahua CGI, ONVIF snapshot addresses."""

from collections.abc import Iterator

from edged.camera.port import CameraFault, Frame
from edged.camera.turns import TurnTakingCamera
from edged.picture import PictureError, check_jpeg


class HttpSnapshotCamera(TurnTakingCamera):
    """`source` is the snapshot's address; frames come `min_interval_s` apart."""

    def _shoot(self, count: int, preset: int | None) -> Iterator[Frame]:
        for _ in range(count):
            jpeg, asked_s = self._http.fetch("GET", self._settings.source)
            try:
                check_jpeg(jpeg)
            except PictureError as exc:
                is_jpeg = jpeg[:2] == b"\xff\xd8"
                raise self._error(
                    CameraFault.CUT_OFF if is_jpeg else CameraFault.NO_PICTURE, str(exc)
                ) from exc
            yield Frame(data=jpeg, taken_monotonic_s=asked_s)
