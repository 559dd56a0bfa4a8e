"""Evidence pictures: when, where and by which device, burnt in, and small enough for a 4G link."""

from collections.abc import Sequence

import cv2
import numpy as np

from edged.picture import Image, PictureError, encode_jpeg

MAX_EVIDENCE_BYTES = 150 * 1024  # what the trade keeps a month of

_MAX_WIDTH_PX = 2560  # nothing larger fits into MAX_EVIDENCE_BYTES
_BAND_SHARE = 0.034  # of the width, per line of text
_BERTH_COLOUR = (0, 220, 255)
_PLATE_COLOUR = (80, 255, 80)
_QUALITIES = (85, 75, 65, 55, 45)
_SHRINK = 0.85


def annotate(
    image: Image,
    lines: Sequence[str],
    *,
    berth: Sequence[tuple[float, float]] | None = None,
    plate: Sequence[tuple[float, float]] | None = None,
) -> Image:
    """Return a copy with `lines` in a band below the picture and the outlines drawn.

    Nothing of the picture is covered by text. `berth` and `plate` are outlines in px of `image`. Text
    beyond Latin becomes `?`. A picture wider than 2560 px is shrunk.
    """
    scale = min(1.0, _MAX_WIDTH_PX / image.shape[1])
    if scale < 1:
        image = np.asarray(
            cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
    width_px = image.shape[1]
    line_px = max(18, round(width_px * _BAND_SHARE))
    height_px = image.shape[0]
    # one array for both: at 8 megapixels each further copy takes 25 MB
    picture = np.zeros((height_px + line_px * len(lines) + line_px // 3, width_px, 3), np.uint8)
    picture[:height_px] = image
    band = picture[height_px:]
    for index, line in enumerate(lines):
        _write(band, line, baseline_px=line_px * (index + 1) - line_px // 5, line_px=line_px)
    thickness = max(1, width_px // 640)
    for outline, colour in ((berth, _BERTH_COLOUR), (plate, _PLATE_COLOUR)):
        if outline:
            points = np.rint(np.asarray(outline, np.float64) * scale).astype(np.int32)
            cv2.polylines(picture[:height_px], [points], True, colour, thickness, cv2.LINE_AA)
    return picture


def compress(image: Image, *, max_bytes: int = MAX_EVIDENCE_BYTES) -> bytes:
    """Return `image` as a JPEG of at most `max_bytes`: quality is lowered first, then the size.

    Raises PictureError when no size fits.
    """
    while min(image.shape[:2]) >= 32:
        for quality in _QUALITIES:
            jpeg = encode_jpeg(image, quality=quality)
            if len(jpeg) <= max_bytes:
                return jpeg
        image = np.asarray(
            cv2.resize(image, None, fx=_SHRINK, fy=_SHRINK, interpolation=cv2.INTER_AREA), np.uint8
        )
    raise PictureError(f"no JPEG of the picture fits into {max_bytes} bytes")


def _write(band: Image, line: str, *, baseline_px: int, line_px: int) -> None:
    text = line.encode("ascii", "replace").decode()
    scale, margin_px = line_px / 36, line_px // 2
    (text_px, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    scale = min(scale, scale * (band.shape[1] - 2 * margin_px) / max(1, text_px))
    thickness = max(1, round(line_px / 22))
    at = (margin_px, baseline_px)
    cv2.putText(band, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), thickness, cv2.LINE_AA)
