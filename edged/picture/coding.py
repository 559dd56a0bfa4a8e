"""Pictures as bytes and as arrays; what is not whole is refused.

OpenCV decodes a JPEG that was cut off in the middle without a word and paints the rest grey: a plate
would be looked for in grey. So the markers of the file are walked before it is decoded.
"""

import struct
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # height x width x 3, BGR

# 150 MB decoded: more would bring a 1 GB box down. OpenCV keeps to it for all formats (edged/__init__.py).
MAX_PIXELS = 50_000_000

_SOI, _EOI = 0xD8, 0xD9
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD8)))  # markers without a length
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class PictureError(ValueError):
    """Bytes that are not a whole picture; the message says what they are instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _JpegSize:
    width_px: int
    height_px: int


def decode_jpeg(data: bytes) -> Image:
    """Return the picture, height x width x 3, BGR, turned upright by its EXIF orientation.

    Raises PictureError when `data` is no JPEG, is cut off, or is larger than MAX_PIXELS.
    """
    check_jpeg(data)
    return _decoded(data)


def check_jpeg(data: bytes) -> None:
    """Make sure that `data` is a whole JPEG of at most MAX_PIXELS, without decoding it.

    Raises PictureError.
    """
    size = _whole_jpeg(data)
    if size.width_px * size.height_px > MAX_PIXELS:
        raise _too_large(f"{size.width_px}x{size.height_px}, ")


def decode_picture(data: bytes) -> Image:
    """Return a picture of any format that OpenCV knows; a JPEG is checked as by `decode_jpeg`.

    Raises PictureError.
    """
    if data[:2] == b"\xff\xd8":
        return decode_jpeg(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n" and b"IEND" not in data[-64:]:
        raise PictureError(f"the PNG is cut off after {len(data)} bytes")
    return _decoded(data)


def encode_jpeg(image: Image, *, quality: int = 90) -> bytes:
    """Return `image` as a JPEG of that quality (1-100)."""
    done, buffer = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise PictureError(f"an array of shape {image.shape} cannot be encoded as JPEG")
    return bytes(buffer.tobytes())


def what_it_begins_with(data: bytes, length: int = 60) -> str:
    """Return the first words of `data` for a message: text as text, other bytes as hex."""
    head = data[:length]
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return head[:16].hex(" ")
    words = " ".join(text.split())
    return repr(words) if words.isprintable() else head[:16].hex(" ")


def _decoded(data: bytes) -> Image:
    if not data:
        raise PictureError("there are no bytes at all")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as exc:
        if "CV_IO_MAX_IMAGE" in str(exc):
            raise _too_large() from exc
        raise PictureError(f"the picture cannot be decoded: {exc.err or exc}") from exc
    if image is None:
        begins = what_it_begins_with(data)
        raise PictureError(f"no whole JPEG, PNG, BMP, TIFF or WebP picture: it begins with {begins}")
    return np.asarray(image, np.uint8)


def _too_large(size: str = "") -> PictureError:
    limit = MAX_PIXELS // 1_000_000
    return PictureError(f"the picture is {size}over {limit} megapixels; choose a smaller resolution")


def _whole_jpeg(data: bytes) -> _JpegSize:
    """Walk the segments (ITU-T T.81, annex B) up to the end-of-image marker.

    The thumbnail inside an EXIF segment has an end marker too, hence no plain search.
    """
    if not data:
        raise PictureError("there are no bytes at all")
    if data[:2] != bytes((0xFF, _SOI)):
        raise PictureError(f"this is not a JPEG: it begins with {what_it_begins_with(data)}")
    size: _JpegSize | None = None
    at = 2
    while True:
        at = _next_marker(data, at)
        marker = data[at + 1]
        at += 2
        if marker == _EOI:
            if size is None:
                raise PictureError("the JPEG ends before its frame header")
            return size
        if marker in _STANDALONE:
            continue
        if at + 2 > len(data):
            raise _cut_off(data)
        (length,) = struct.unpack_from(">H", data, at)
        if marker in _FRAME_HEADERS and at + 7 <= len(data):
            height_px, width_px = struct.unpack_from(">HH", data, at + 3)
            size = _JpegSize(width_px=width_px, height_px=height_px)
        at += max(length, 2)


def _next_marker(data: bytes, at: int) -> int:
    """Return where the next marker begins; FF00 is a stuffed byte, FFFF a fill byte."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise _cut_off(data)
        if data[at + 1] not in (0x00, 0xFF):
            return at
        at += 1 if data[at + 1] == 0xFF else 2


def _cut_off(data: bytes) -> PictureError:
    return PictureError(f"the JPEG is cut off: {len(data)} bytes without an end marker")
