"""A million cycles of one sensor on a line that costs nothing: whatever is kept too long shows."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from firmware_bridge.bus import SensorBus
from firmware_bridge.frames import crc_bytes
from firmware_bridge.profiles import SensorProfile
from firmware_bridge.settings import BusSettings, SensorSettings

_TURN_S = 0.02
_LOST_EVERY = 97  # replies; a prime, so that every kind of request is lost now and then
_GARBLED_EVERY = 89
_CAR_EVERY = 50


class _InstantLine:
    """Answers at once, from the request alone; a car comes or goes every fifty requests."""

    def __init__(self, cycles: int) -> None:
        self.now_s = 1.0
        self.requests = 0
        self.done = threading.Event()
        self._cycles = cycles
        self._reply = b""

    def clock(self) -> float:
        return self.now_s

    @contextmanager
    def open(self, _: BusSettings) -> "Iterator[_InstantLine]":
        yield self

    def send(self, frame: bytes) -> None:
        self.requests += 1
        if self.requests >= self._cycles:
            self.done.set()
        count = int.from_bytes(frame[4:6])
        is_there = self.requests // _CAR_EVERY % 2
        body = bytes((frame[0], frame[1], 2 * count)) + (1000 + 2000 * is_there).to_bytes(2) * count
        self._reply = body + crc_bytes(body)
        if self.requests % _GARBLED_EVERY == 0:
            self._reply = body + b"\x00\x00"
        if self.requests % _LOST_EVERY == 0:
            self._reply = b""

    def read(self, until_s: float, not_before_s: float = 0.0) -> bytes:
        reply, self._reply = self._reply, b""
        self.now_s = max(self.now_s, not_before_s, self.now_s + _TURN_S if reply else until_s)
        return reply

    def intrusion(self, *, is_failing: bool) -> str:
        return ""


def memory_growth_kib(profiles: Mapping[str, SensorProfile], cycles: int) -> int:
    """By how much this process's memory grew over `cycles` poll cycles, after their first tenth."""
    line = _InstantLine(cycles)
    sensor = SensorSettings(name="s", device_id=1, profile=profiles["sen0492"])
    settings = BusSettings(name="bench", port="/instant", poll_interval_s=0.0)
    grown_from: list[int] = []

    def observe(_: object) -> None:
        if not grown_from and line.requests > cycles // 10:
            grown_from.append(resident_kib())

    SensorBus(settings, [sensor], observe, open_port=line.open, clock=line.clock).run(line.done)
    return resident_kib() - grown_from[0]


def resident_kib() -> int:
    """What this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4
