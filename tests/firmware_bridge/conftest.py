"""Real parts for the bus tests: shipped profiles, simulated sensors on a pty, waiting with a deadline."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from firmware_bridge import (
    BusSettings,
    Observation,
    SensorBus,
    SensorProfile,
    SensorSettings,
    load_profiles,
)
from firmware_bridge.link import LinkTiming
from firmware_bridge.simulator import BusSimulator, LineFaults, SimulatedDevice, SimulatedLine, VirtualLine

SENSORS = Path(__file__).parents[2] / "config" / "sensors"


@pytest.fixture(scope="session")
def profiles() -> dict[str, SensorProfile]:
    return load_profiles([SENSORS])


@dataclass
class Rig:
    """A simulated bus and the master that polls it, each in its own thread."""

    simulator: BusSimulator
    bus: SensorBus
    port: Path
    seen: list[Observation] = field(default_factory=list)

    def states(self, sensor: str, channel: int = 1) -> list[str]:
        return [str(o.state) for o in tuple(self.seen) if (o.sensor, o.channel) == (sensor, channel)]

    def device(self, device_id: int) -> SimulatedDevice:
        device = self.simulator.line.device(device_id)
        assert device is not None
        return device


@contextmanager
def running(
    port: Path,
    devices: Iterable[SimulatedDevice],
    sensors: Iterable[SensorSettings],
    *,
    baudrate: int = 115200,
    fault_after_s: float = 5.0,
    start_simulator: bool = True,
) -> Iterator[Rig]:
    """Simulator and bus running against each other; both are joined at the end."""
    simulator = BusSimulator(devices, link=port, timing=LinkTiming(baudrate=baudrate))
    seen: list[Observation] = []
    settings = BusSettings(
        name="kerb", port=str(port), baudrate=baudrate, poll_interval_s=0.0, fault_after_s=fault_after_s
    )
    bus = SensorBus(settings, sensors, seen.append)
    stop = threading.Event()
    threads = [threading.Thread(target=bus.run, args=(stop,))]
    if start_simulator:
        threads.insert(0, threading.Thread(target=simulator.run, args=(stop,)))
    try:
        for thread in threads:
            thread.start()
            if start_simulator:
                assert simulator.ready.wait(5)
        yield Rig(simulator=simulator, bus=bus, port=port, seen=seen)
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()


class Rehearsal(VirtualLine):
    """A bus and its sensors in virtual time: no machine is too slow for it."""

    def __init__(self, line: SimulatedLine, sensors: Iterable[SensorSettings], **changes: float) -> None:
        super().__init__(line)
        self.seen: list[Observation] = []
        fields: dict[str, Any] = {"poll_interval_s": 0.0, "baudrate": 9600} | changes
        settings = BusSettings(name="kerb", port="/virtual", **fields)
        self.bus = SensorBus(settings, sensors, self.seen.append, open_port=self.open, clock=self.clock)
        self._stop = threading.Event()
        self._story: Iterator[Callable[[], bool]] = iter(())
        self._until: Callable[[], bool] = lambda: True
        self._end_s = 0.0

    def states(self, sensor: str, channel: int = 1) -> list[str]:
        return [str(o.state) for o in self.seen if (o.sensor, o.channel) == (sensor, channel)]

    def play(self, story: Iterator[Callable[[], bool]], *, within_s: float = 120.0) -> None:
        """Go on with the story whenever what it waits for holds; it must end within so much virtual time."""
        self._story, self._end_s = story, self.now_s + within_s
        self._until = next(story)
        self.bus.run(self._stop)

    def send(self, frame: bytes) -> None:
        super().send(frame)
        while not self._stop.is_set() and self._until():
            following = next(self._story, None)
            if following is None:
                self._stop.set()
            else:
                self._until = following
        if self.now_s > self._end_s:
            pytest.fail(f"not so far in time; seen: {self.seen}")


def rehearsal(
    devices: Iterable[SimulatedDevice],
    sensors: Iterable[SensorSettings],
    faults: LineFaults | None = None,
    **changes: float,
) -> Rehearsal:
    """A rehearsal with a seed of its own: it goes the same way each time."""
    timing = LinkTiming(baudrate=int(changes.get("baudrate", 9600)))
    return Rehearsal(SimulatedLine(devices, timing=timing, rng=Random(1), faults=faults), sensors, **changes)
