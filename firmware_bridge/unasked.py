"""Frames that arrive while no request is under way, found among stray characters however cut. Pure."""

from firmware_bridge.frames import Shape, whole_frames

# USB adapters hand characters over in chunks up to 16 ms apart: after a longer pause something new begins.
_PAUSE_S = 0.020
_LONGEST_FRAME = 256


class Unasked:
    """Stray characters in order; `take` gives the shapes of the frames that they complete."""

    def __init__(self) -> None:
        self._data = b""
        self._last_s = float("-inf")

    def take(self, data: bytes, now_s: float) -> list[Shape]:
        if now_s - self._last_s > _PAUSE_S:
            self._data = b""
        self._last_s = now_s
        self._data = (self._data + data)[-2 * _LONGEST_FRAME :]
        found = list(whole_frames(self._data))
        if found:
            self._data = self._data[self._data.rindex(found[-1]) + len(found[-1]) :]
        return [(frame[0], frame[1], len(frame)) for frame in found]
