"""Tools on a live pole: they take no sensor's time, make no ghosts, and say only what they have proven."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware_bridge import BridgeError, SensorProfile, SensorSettings
from firmware_bridge.frames import Request
from firmware_bridge.identity import change_id
from firmware_bridge.link import LinkTiming
from firmware_bridge.scan import Ask, LinkSettings, bare_bus, scan
from firmware_bridge.simulator import BusSimulator, FaultPlan, SimulatedDevice
from tests.firmware_bridge.conftest import running
from tests.waiting import until

Profiles = dict[str, SensorProfile]
LINK = LinkSettings(baudrate=115200, parity="N", stop_bits=1)


class Stubborn(SimulatedDevice):
    """Confirms every write, and keeps what it had."""

    def _write(self, function: int, request: object) -> bytes:
        before, device_id = {table: dict(bank) for table, bank in self._banks.items()}, self.device_id
        reply = super()._write(function, request)
        self._banks, self.device_id, self._next_device_id = before, device_id, None
        return reply


class Server(SimulatedDevice):
    """Answers for units that are not there with exception 4, as pymodbus's server does."""

    def answer(self, pdu: bytes) -> bytes:
        return self.refuse(pdu[0], 4)


@contextmanager
def asking(folder: Path, *devices: SimulatedDevice) -> Iterator[Ask]:
    simulator = BusSimulator(devices, link=folder / "bus", timing=LinkTiming(baudrate=LINK.baudrate))
    stop = threading.Event()
    thread = threading.Thread(target=simulator.run, args=(stop,))
    thread.start()
    try:
        assert simulator.ready.wait(30)
        with bare_bus(str(folder / "bus"), LINK) as ask:
            yield ask
    finally:
        stop.set()
        thread.join()


def test_a_technicians_questions_let_no_reading_get_older_than_half_its_fault_limit(
    tmp_path: Path, profiles: Profiles
) -> None:
    ids = range(1, 9)
    devices = [SimulatedDevice(profiles["sen0492"], device_id) for device_id in ids]
    sensors = [SensorSettings(name=str(at), device_id=at, profile=profiles["sen0492"]) for at in ids]
    with running(tmp_path / "bus", devices, sensors, fault_after_s=4.0) as rig:
        until(lambda: len(rig.seen) == 8, "all are known")
        asked, done = 0, threading.Event()

        def scan_absent_ids() -> None:
            nonlocal asked
            for device_id in range(100, 103):
                rig.bus.ask(Request(device_id=device_id, function=3, address=0), response_timeout_s=5.0)
                asked += 1
            done.set()

        thread = threading.Thread(target=scan_absent_ids)
        thread.start()
        worst_s = 0.0
        while not done.wait(0.02):
            ages = [age_s for _, age_s in rig.bus.channel_states().values() if age_s is not None]
            worst_s = max(worst_s, *ages)
        thread.join()
    assert asked == 3
    assert worst_s < 2.0
    assert len(rig.seen) == 8  # nothing became a fault


def test_set_id_of_a_device_that_ignores_writes_is_an_error(tmp_path: Path, profiles: Profiles) -> None:
    with asking(tmp_path, Stubborn(profiles["ld120"], 15), Stubborn(profiles["apg_mnu"], 16)) as ask:
        loop = SensorSettings(name="loop", device_id=15, profile=profiles["ld120"])
        with pytest.raises(BridgeError, match=r"still shows id 15: it ignored the write, or .* --ids 15,40"):
            change_id(ask, loop, 40)
        sonic = SensorSettings(name="sonic", device_id=16, profile=profiles["apg_mnu"])
        with pytest.raises(BridgeError, match="ignored the write and keeps id 16"):
            change_id(ask, sonic, 40)


def test_set_id_says_what_it_has_read_back(tmp_path: Path, profiles: Profiles) -> None:
    with asking(
        tmp_path, SimulatedDevice(profiles["ld120"], 15), SimulatedDevice(profiles["apg_mnu"], 16)
    ) as ask:
        loop = SensorSettings(name="loop", device_id=15, profile=profiles["ld120"])
        assert "has stored id 40. Power it off and on" in change_id(ask, loop, 40)
        sonic = SensorSettings(name="sonic", device_id=16, profile=profiles["apg_mnu"])
        assert change_id(ask, sonic, 41) == "sonic answers at id 41 now."
        with pytest.raises(BridgeError, match="a device answers at id 15 already"):
            change_id(ask, SensorSettings(name="sonic", device_id=41, profile=profiles["apg_mnu"]), 15)


def test_a_scan_takes_exception_4_for_no_device_and_one_lost_reply_for_no_other_device(
    tmp_path: Path, profiles: Profiles
) -> None:
    lossy = SimulatedDevice(profiles["ld120"], 2, faults=FaultPlan(silent_rate=0.3))
    with asking(tmp_path, lossy, Server(profiles["ld120"], 3)) as ask:
        found = []
        end_s = time.monotonic() + 30
        while not found and time.monotonic() < end_s:  # a probe may be lost: what is found is known at once
            found = list(scan(ask, LINK, profiles, [2, 3]))
    assert [(device.device_id, device.identified) for device in found] == [(2, ("ld120",))]
