"""Pictures with their plates outlined and written beside: what `edged read --annotate` leaves behind."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.domain.reading import PlateRead
from edged.picture import Image, encode_jpeg
from edged.picture.plate_face import BOX_MM, draw_character

_ACCEPTED, _DOUBTFUL = (60, 200, 60), (0, 170, 255)  # BGR
_HEIGHT_SHARE = 1 / 40  # of the picture's width: legible on a telephone
_LEAST_HEIGHT_PX = 20
_GAP_SHARE = 0.25  # of a character's width
_GROUND = 0.25  # what shines through behind the text


def write_annotated(path: Path, image: Image, plates: Sequence[PlateRead]) -> None:
    """Write `image` as a JPEG with each plate's outline and text; draws into `image`. Raises OSError."""
    for plate in plates:
        colour = _ACCEPTED if plate.reading.accepted else _DOUBTFUL
        outline = np.asarray(plate.corners, np.float32).round().astype(np.int32)
        cv2.polylines(image, [outline], True, colour, max(1, image.shape[1] // 500), cv2.LINE_AA)
        if plate.reading.text:
            left, top = (int(value) for value in outline.min(axis=0))
            _write(image, plate.reading.text, left, top, colour)
    path.write_bytes(encode_jpeg(image))


def _write(image: Image, text: str, left: int, above: int, colour: tuple[int, int, int]) -> None:
    """Write `text` above the row `above`, moved and shrunk to lie within the picture."""
    height, width = image.shape[:2]
    ink = _ink(text, max(_LEAST_HEIGHT_PX, round(width * _HEIGHT_SHARE)))
    shrink = min(1.0, width / ink.shape[1], height / ink.shape[0])
    if shrink < 1:
        ink = cv2.resize(ink, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)[:height, :width]
    rows, columns = ink.shape
    top = max(0, min(above - rows, height - rows))
    left = max(0, min(left, width - columns))
    place = image[top : top + rows, left : left + columns]
    cover = ink[..., None]
    place[:] = (place * _GROUND * (1 - cover) + np.array(colour) * cover).astype(np.uint8)


def _ink(text: str, height_px: int) -> NDArray[np.float32]:
    """Return the coverage (0-1) of a line of plate characters."""
    width_px = max(1, round(height_px * BOX_MM[0] / BOX_MM[1]))
    gap_px = max(1, round(width_px * _GAP_SHARE))
    line = np.zeros((height_px + 2 * gap_px, gap_px + len(text) * (width_px + gap_px)), np.float32)
    for index, character in enumerate(text):
        left = gap_px + index * (width_px + gap_px)
        drawn = draw_character(character, width_px=width_px, height_px=height_px)
        line[gap_px : gap_px + height_px, left : left + width_px] = drawn
    return line
