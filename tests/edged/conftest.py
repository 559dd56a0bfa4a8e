import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_box import PROFILES, Box

from firmware_bridge import load_profile
from firmware_bridge.link import LinkTiming
from firmware_bridge.simulator import BusSimulator, SimulatedDevice
from tests.waiting import until


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


@pytest.fixture
def bus(box: Box) -> Iterator[BusSimulator]:
    device = SimulatedDevice(load_profile(PROFILES / "ld120.toml"), 1)
    simulator = BusSimulator([device], link=box.port, timing=LinkTiming(baudrate=9600))
    stop = threading.Event()
    thread = threading.Thread(target=simulator.run, args=(stop,))
    thread.start()
    until(box.port.exists)
    yield simulator
    stop.set()
    thread.join(10)
