"""A picture that is not whole is never read as if it were."""

import struct

import cv2
import numpy as np
import pytest

from edged.picture import PictureError, decode_jpeg, decode_picture, encode_jpeg

RNG = np.random.default_rng(7)
PICTURE = cv2.resize(RNG.integers(0, 255, (12, 16, 3), np.uint8), (160, 120))
JPEG = encode_jpeg(PICTURE)


def with_exif(jpeg: bytes, *, orientation: int, thumbnail: bytes = b"") -> bytes:
    ifd = struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\x00\x00MM\x00\x2a" + struct.pack(">I", 8) + ifd + thumbnail
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def test_a_whole_jpeg_is_decoded_to_its_size() -> None:
    assert decode_jpeg(JPEG).shape == (120, 160, 3)


@pytest.mark.parametrize("kept", [2, 3, 20, 200, len(JPEG) // 2, len(JPEG) - 2, len(JPEG) - 1])
def test_a_jpeg_cut_off_anywhere_is_refused(kept: int) -> None:
    with pytest.raises(PictureError, match="cut off"):
        decode_jpeg(JPEG[:kept])


def test_the_end_marker_of_a_thumbnail_is_not_the_end_of_the_picture() -> None:
    jpeg = with_exif(JPEG, orientation=1, thumbnail=encode_jpeg(PICTURE[:16, :16]))
    assert decode_jpeg(jpeg).shape == (120, 160, 3)
    with pytest.raises(PictureError, match="cut off"):
        decode_jpeg(jpeg[:-2])


def test_a_picture_is_turned_upright_by_its_orientation() -> None:
    upright = decode_jpeg(with_exif(JPEG, orientation=6))
    assert upright.shape == (160, 120, 3)
    assert np.abs(upright.astype(int) - np.rot90(decode_jpeg(JPEG), -1)).max() == 0


def test_bytes_behind_the_end_marker_do_no_harm() -> None:
    assert decode_jpeg(JPEG + b"\x00" * 64).shape == (120, 160, 3)


def test_html_is_named_by_its_first_words() -> None:
    with pytest.raises(PictureError, match="<html><body> Login please"):
        decode_jpeg(b"<html><body>\n  Login please</body></html>")


def test_no_bytes_at_all_is_an_error_of_its_own() -> None:
    with pytest.raises(PictureError, match="no bytes"):
        decode_picture(b"")


def test_a_png_is_decoded_and_a_cut_off_one_refused() -> None:
    png = cv2.imencode(".png", PICTURE)[1].tobytes()
    assert np.array_equal(decode_picture(png), PICTURE)
    with pytest.raises(PictureError, match="cut off"):
        decode_picture(png[: len(png) // 2])


def test_a_jpeg_too_large_for_the_box_is_refused_before_it_is_decoded() -> None:
    at = JPEG.index(b"\xff\xc0")
    huge = JPEG[: at + 5] + struct.pack(">HH", 60_000, 60_000) + JPEG[at + 9 :]
    with pytest.raises(PictureError, match="60000x60000"):
        decode_jpeg(huge)
