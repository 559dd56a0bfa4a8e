"""Pictures as arrays: decoded and encoded within limits. `plate_face` draws the characters of plates."""

from edged.picture.coding import (
    MAX_PIXELS,
    Image,
    PictureError,
    check_jpeg,
    decode_jpeg,
    decode_picture,
    encode_jpeg,
    what_it_begins_with,
)

__all__ = [
    "MAX_PIXELS",
    "Image",
    "PictureError",
    "check_jpeg",
    "decode_jpeg",
    "decode_picture",
    "encode_jpeg",
    "what_it_begins_with",
]
