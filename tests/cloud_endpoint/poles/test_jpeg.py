"""A picture is a whole JPEG, not two bytes of one."""

import pytest
from cloud_street import JPEG

from cloud_endpoint.poles.jpeg import is_jpeg

AT_SCAN = JPEG.index(b"\xff\xda")


def test_a_whole_picture_is_one() -> None:
    assert is_jpeg(JPEG)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xd8<html><script>alert(1)</script></html>",
        b"\xff\xd8<html></html>\xff\xd9",
        b"\xff\xd8\xff\xe0 a small picture \xff\xd9",
        JPEG[:-2],
        JPEG[: AT_SCAN + 8],
        JPEG[:2] + JPEG[AT_SCAN:],  # no frame, no size
        JPEG[:AT_SCAN] + b"\xff\xd9",
        JPEG[:2] + b"\xff\xe0\x00\x00" + JPEG[2:],
        b"\x89PNG\r\n\x1a\n" + JPEG,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_whole_picture_is_none(body: bytes) -> None:
    assert not is_jpeg(body)


def test_a_picture_cut_anywhere_is_none() -> None:
    assert [end for end in range(len(JPEG)) if is_jpeg(JPEG[:end])] == []
