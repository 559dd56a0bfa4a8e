"""Another program on the port, and a port whose name moves to another adapter."""

import os
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edged.workers.bus_findings import findings_of
from firmware_bridge import SensorProfile, SensorSettings
from firmware_bridge.link import LinkTiming
from firmware_bridge.simulator import BusSimulator, SimulatedDevice
from tests.firmware_bridge.conftest import Rig, running
from tests.waiting import until

Profiles = dict[str, SensorProfile]
THIEF = """
import os, select, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
print("there", flush=True)
end_s = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end_s:
    if select.select([fd], [], [], 0.01)[0]:
        try:
            os.read(fd, 1)
        except BlockingIOError:
            pass
"""


def rig(folder: Path, profiles: Profiles):  # type: ignore[no-untyped-def]  # a context manager of Rig
    sensors = [SensorSettings(name="loop", device_id=1, profile=profiles["ld120"])]
    return running(folder / "bus", [SimulatedDevice(profiles["ld120"], 1)], sensors)


def troubles(bus_rig: Rig) -> str:
    return "; ".join(trouble.cause for trouble in bus_rig.bus.snapshot().troubles)


@contextmanager
def exclusive_held_open(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can still open a port that is held")
def test_a_program_that_steals_characters_is_named_and_no_berth_is_lost(
    tmp_path: Path, profiles: Profiles
) -> None:
    with rig(tmp_path, profiles) as bus_rig:
        until(lambda: bus_rig.states("loop") == ["vacant"], "vacant is known")
        command = [sys.executable, "-c", THIEF, str(bus_rig.port), "3"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as thief:
            assert thief.stdout is not None
            thief.stdout.readline()
            until(lambda: f"pid {thief.pid}" in troubles(bus_rig), "it is noticed")
            line = next(found for found in findings_of(bus_rig.bus.snapshot()) if found.where == "bus kerb")
            assert f"pid {thief.pid}" in line.cause
        snapshot = bus_rig.bus.snapshot()
        assert (snapshot.port_error, snapshot.port_losses) == (None, 0)
        bus_rig.device(1).arrive()
        until(lambda: bus_rig.states("loop")[-1] == "occupied", "polling goes on")
        assert bus_rig.states("loop") == ["vacant", "occupied"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can still open a port that is held")
def test_settings_that_another_program_changed_are_set_back(tmp_path: Path, profiles: Profiles) -> None:
    with rig(tmp_path, profiles) as bus_rig, exclusive_held_open(bus_rig.port) as fd:
        until(lambda: bus_rig.states("loop") == ["vacant"], "vacant is known")
        modes = termios.tcgetattr(fd)
        modes[4] = modes[5] = termios.B1200
        termios.tcsetattr(fd, termios.TCSANOW, modes)
        until(lambda: "has changed the settings" in troubles(bus_rig), "it is noticed")
        assert termios.tcgetattr(fd)[5] == termios.B115200
        bus_rig.device(1).arrive()
        until(lambda: bus_rig.states("loop")[-1] == "occupied", "polling goes on")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_another_users_program_cannot_open_the_port(tmp_path: Path, profiles: Profiles) -> None:
    attempt = "import os, sys; os.setuid(65534); os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)"
    with rig(tmp_path, profiles) as bus_rig:
        until(lambda: bus_rig.states("loop") == ["vacant"], "vacant is known")
        device = bus_rig.port.resolve()
        device.chmod(0o666)
        command = [sys.executable, "-c", attempt, str(device)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "Device or resource busy" in done.stderr


def test_a_name_that_moves_to_another_adapter_is_followed(tmp_path: Path, profiles: Profiles) -> None:
    other_loop = SimulatedDevice(profiles["ld120"], 1, occupied=[1])
    other = BusSimulator([other_loop], link=tmp_path / "other", timing=LinkTiming(baudrate=115200))
    stop = threading.Event()
    thread = threading.Thread(target=other.run, args=(stop,))
    thread.start()
    try:
        assert other.ready.wait(30)
        with rig(tmp_path, profiles) as bus_rig:
            until(lambda: bus_rig.states("loop") == ["vacant"], "vacant is known")
            moved = tmp_path / "moved"
            moved.symlink_to((tmp_path / "other").resolve())
            moved.rename(bus_rig.port)
            until(lambda: bus_rig.states("loop")[-1] == "occupied", "the other adapter is read", within_s=5.0)
    finally:
        stop.set()
        thread.join()
