"""What the unit's memory has to hold: the daemon and the processes that decode video for it."""

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from daemon_box import PROFILES, Box

from edged.demo.bench_pictures import one_berth
from edged.picture import encode_jpeg
from firmware_bridge import load_profile
from firmware_bridge.link import LinkTiming
from firmware_bridge.simulator import BusSimulator, SimulatedDevice
from tests.waiting import running, until

sys.path.append(str(Path(__file__).parents[1] / "camera"))
from rtsp_source import RtspSource  # the camera room's server

NUMBERS = range(1, 5)
WHOLE_MIB, MAIN_MIB = 450, 220
CAMERA = '[[camera]]\nname = "high-{n}"\nkind = "rtsp"\nsource = "{url}"\nlive = false\n'
SENSOR = '[[sensor]]\nname = "loop-{n}"\nbus = "kerb"\ndevice_id = {n}\nprofile = "ld120"\n'
BERTH = '[[berth]]\nberth_no = "100{n}"\nsensor = "loop-{n}"\ncamera = "high-{n}"\n'


def descendants(pid: int) -> Iterator[int]:
    """Yield the process and all below it."""
    yield pid
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in thread.read_text().split():
            yield from descendants(int(child))


def memory_mib(pid: int) -> float:
    """Return what the process and its children take; what they share counts once."""
    total_kb = 0
    for each in descendants(pid):
        try:
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text()
        except OSError:  # it has just ended
            continue
        found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.M)
        total_kb += int(found[1]) if found else 0
    return total_kb / 1024


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.M)
    assert found is not None
    return int(found[1]) / 1024


@pytest.mark.long
@pytest.mark.skipif(not os.access("/proc/self/smaps_rollup", os.R_OK), reason="needs smaps_rollup")
def test_four_rtsp_cameras_fit_into_the_units_memory(box: Box) -> None:
    jpeg = encode_jpeg(one_berth(80).occupied, quality=80)
    devices = [SimulatedDevice(load_profile(PROFILES / "ld120.toml"), number) for number in NUMBERS]
    simulator = BusSimulator(devices, link=box.port, timing=LinkTiming(baudrate=9600))
    with ExitStack() as stack:
        sources = [stack.enter_context(RtspSource(jpeg)) for _ in NUMBERS]
        parts = [
            CAMERA.format(n=n, url=source.url) + SENSOR.format(n=n) + BERTH.format(n=n)
            for n, source in zip(NUMBERS, sources, strict=True)
        ]
        text = box.settings.read_text()
        head, tail = text[: text.index("[[sensor]]")], text[text.index("[model]") :]
        box.settings.write_text(head + "".join(parts) + tail)
        stack.enter_context(running(simulator))
        until(box.port.exists)
        daemon = stack.enter_context(box.running())
        until(lambda: [b["state"] for b in box.ask("berths") or ()] == ["vacant"] * 4, within_s=60)
        stopped = threading.Event()
        seen_mib: list[float] = []

        def measure() -> None:
            while not stopped.wait(0.05):
                seen_mib.append(memory_mib(daemon.pid))

        meter = threading.Thread(target=measure)
        meter.start()
        try:
            for device in devices:
                device.arrive()
            until(lambda: sum(visit.reading is not None for visit in box.visits()) == 4, within_s=100)
        finally:
            stopped.set()
            meter.join()
        print(f"whole {max(seen_mib):.0f} MiB, main process {peak_mib(daemon.pid):.0f} MiB")
        assert max(seen_mib) <= WHOLE_MIB
        assert peak_mib(daemon.pid) <= MAIN_MIB
