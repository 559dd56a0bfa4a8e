"""Real parts for the bus tests: shipped profiles, simulated sensors on a pty, waiting with a deadline."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

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
from firmware_bridge.simulator import BusSimulator, SimulatedDevice

SENSORS = Path(__file__).parents[2] / "config" / "sensors"


def wait_for(condition: Callable[[], bool], what: str, *, deadline_s: float = 10.0) -> None:
    """Wait until `condition` holds; fail loudly with `what` when it does not in time."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end_s:
            pytest.fail(f"not within {deadline_s} s: {what}")
        threading.Event().wait(0.005)


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
