"""Whether bytes are a JPEG picture, by their structure (ITU-T T.81, annex B); the pixels are not decoded."""

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; not DHT, JPG and DAC
_SCAN = 0xDA


def is_jpeg(body: bytes) -> bool:
    """Tell whether this is a whole picture: start, segments, a frame with a size, a scan, and the end.

    Two bytes at the beginning are not enough: a page of HTML may follow them.
    """
    if not body.startswith(b"\xff\xd8") or not body.endswith(b"\xff\xd9"):
        return False
    at, has_size = 2, False
    while at + 4 <= len(body) and body[at] == 0xFF:
        marker, length = body[at + 1], int.from_bytes(body[at + 2 : at + 4])
        if marker in _FRAMES:
            # precision, height, width: 1, 2 and 2 bytes
            has_size = 0 not in (
                int.from_bytes(body[at + 5 : at + 7]),
                int.from_bytes(body[at + 7 : at + 9]),
            )
        if marker == _SCAN:
            return has_size
        if length < 2:  # the length counts itself
            return False
        at += 2 + length
    return False
