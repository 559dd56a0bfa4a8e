"""The picture that is kept of a reading: time, berth and device burnt in, outlines drawn."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import structlog

from edged.camera import Frame, annotate, compress
from edged.domain.reading import PlateRead
from edged.domain.timekeeping import Stamp
from edged.picture import PictureError
from edged.settings import BerthSettings, SiteSettings

log = structlog.get_logger()


class EvidencePictures:
    """Makes the evidence pictures of one pole."""

    def __init__(self, site: SiteSettings) -> None:
        self._device = f"{site.site_id} {site.device_id}"
        self._zone = ZoneInfo(site.time_zone)

    def of(
        self, berth: BerthSettings, frame: Frame, plates: Sequence[PlateRead], captured: Stamp
    ) -> bytes | None:
        """Return the picture as JPEG, None when the frame cannot be decoded. `plates`: the berth's first."""
        taken = captured.utc.astimezone(self._zone).isoformat(sep=" ", timespec="seconds")
        unsure = "" if captured.clock_synced else " (clock not synchronised)"
        lines = [f"{taken}{unsure}", f"berth {berth.berth_no}  {self._device}"]
        plate = plates[0].corners if plates else None
        try:
            return compress(annotate(frame.decode(), lines, berth=berth.polygon, plate=plate))
        except PictureError as error:
            log.warning("no evidence picture", berth_no=berth.berth_no, reason=str(error))
            return None
