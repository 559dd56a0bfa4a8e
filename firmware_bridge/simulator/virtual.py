"""The simulated line in virtual time: the real bus code runs against it faster than any wire."""

from collections.abc import Iterator
from contextlib import contextmanager

from firmware_bridge.settings import BusSettings
from firmware_bridge.simulator.line import SimulatedLine
from firmware_bridge.simulator.traffic import Traffic


class VirtualLine:
    """A port whose waiting moves the clock. Hand `open` and `clock` to a SensorBus."""

    def __init__(self, line: SimulatedLine, traffic: Traffic | None = None) -> None:
        self.line = line
        self.traffic = traffic or Traffic(line)
        self.now_s = 1.0

    def clock(self) -> float:
        return self.now_s

    @contextmanager
    def open(self, _: BusSettings) -> "Iterator[VirtualLine]":
        yield self

    def send(self, frame: bytes) -> None:
        self.traffic.advance(self.now_s)
        self.line.receive(frame, self.now_s)

    def read(self, until_s: float, not_before_s: float = 0.0) -> bytes:
        data = b""
        while True:
            next_s = self.line.next_s()
            enough_s = not_before_s if data else max(until_s, not_before_s)
            if next_s is None or next_s > enough_s:
                self._go(enough_s)
                return data + self.line.collect(self.now_s)
            self._go(next_s)
            data += self.line.collect(self.now_s)
            if data and self.now_s >= not_before_s:
                return data

    def intrusion(self, *, is_failing: bool) -> str:
        return ""

    def _go(self, when_s: float) -> None:
        self.now_s = max(self.now_s, when_s)
        self.traffic.advance(self.now_s)
