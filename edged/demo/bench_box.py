"""`make bench-box`: what the daemon takes of its box, and how soon a plate is committed.

The daemon is a process of its own on a real disk; cameras and sensors are simulated in this one. Contact is
when the simulated sensor sees the car; a plate is committed when it can be read from the store.
"""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edged.demo.bench_pictures import Outline, PictureServer, ShownCamera, four_berths_in_one, one_berth
from edged.demo.street import free_port
from edged.store import Archive, Visit
from firmware_bridge import load_profile
from firmware_bridge.link import LinkTiming
from firmware_bridge.simulator import BusSimulator, SimulatedDevice
from firmware_bridge.simulator.config import standard_profile_directories

_SITE = """
[site]
site_id = "bench"
device_id = "pole-0001"
[[bus]]
name = "kerb"
port = "{folder}/bus0"
[store]
directory = "{folder}/store"
[uplink]
cloud_url = "http://127.0.0.1:9"
credentials = "{folder}/credentials.json"
[snapshot_api]
port = {port}
"""
_SENSOR = '[[sensor]]\nname = "loop-{n}"\nbus = "kerb"\ndevice_id = {n}\nprofile = "ld120"\n'
_CAMERA = '[[camera]]\nname = "camera-{n}"\nsource = "http://127.0.0.1:{port}/{n}.jpg"\n'
_BERTH = (
    '[[berth]]\nberth_no = "{no}"\nsensor = "loop-{n}"\ncamera = "camera-{camera}"\npolygon = {polygon}\n'
)
_READY_WITHIN_S = 60.0
_READ_WITHIN_S = 120.0
_IDLE_S = 125.0  # two passes of upkeep


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a process has taken since its start, as /proc tells."""

    at_s: float
    cpu_s: float
    written_bytes: int
    peak_mib: float

    @classmethod
    def of(cls, pid: int) -> "Usage":
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = sum(int(value) for value in fields[11:13])
        io = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        return cls(
            at_s=time.monotonic(),
            cpu_s=ticks / os.sysconf("SC_CLK_TCK"),
            written_bytes=int(io["write_bytes"]),
            peak_mib=int(status["VmHWM"].split()[0]) / 1024,
        )

    def cpu_percent_since(self, before: "Usage") -> float:
        return 100 * (self.cpu_s - before.cpu_s) / (self.at_s - before.at_s)


@dataclass(slots=True)
class Bench:
    """A running daemon, its sensors and its cameras."""

    folder: Path
    daemon: "subprocess.Popen[bytes]"
    devices: list[SimulatedDevice]
    pictures: PictureServer
    ready_s: float

    def usage(self) -> Usage:
        return Usage.of(self.daemon.pid)

    def open_visits(self) -> list[Visit]:
        with Archive.open_existing(self.folder / "store") as archive:
            return archive.open_visits()

    def round_trip(self) -> list[float]:
        """Let all cars come at once, and leave once they are read; return contact to plate in seconds."""
        self.pictures.renew()
        self.pictures.occupied = True
        came_s = time.monotonic()
        for device in self.devices:
            device.arrive()
        read_s: dict[str, float] = {}
        _until(lambda: self._note_read(read_s, came_s) == len(self.devices), _READ_WITHIN_S)
        self.pictures.occupied = False
        for device in self.devices:
            device.leave()
        _until(lambda: not self.open_visits(), _READ_WITHIN_S)
        return list(read_s.values())

    def _note_read(self, read_s: dict[str, float], came_s: float) -> int:
        for visit in self.open_visits():
            if visit.reading is not None and visit.reading.reading is not None:
                read_s.setdefault(visit.visit_id, time.monotonic() - came_s)
        return len(read_s)

    def picture_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.folder / "store" / "evidence").rglob("*.jpg"))


@contextmanager
def running(cameras: list[ShownCamera]) -> Iterator[Bench]:
    """Start a daemon that watches all berths of `cameras`."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-box-", dir=Path.cwd()) as name,
        contextlib.ExitStack() as stack,
    ):
        folder, pictures = Path(name), PictureServer(cameras)
        berths = [(camera, outline) for camera, shown in enumerate(cameras) for outline in shown.outlines]
        config = _settings(folder, berths, stack.enter_context(pictures.listening()))
        devices = stack.enter_context(_sensors(folder, len(berths)))
        began_s = time.monotonic()
        daemon = stack.enter_context(_daemon(folder, config))
        ready_s = time.monotonic() - began_s
        yield Bench(folder=folder, daemon=daemon, devices=devices, pictures=pictures, ready_s=ready_s)


def _settings(folder: Path, berths: list[tuple[int, Outline]], port: int) -> Path:
    text = _SITE.format(folder=folder, port=free_port())
    for camera in sorted({camera for camera, _outline in berths}):
        text += _CAMERA.format(n=camera, port=port)
    for number, (camera, outline) in enumerate(berths, start=1):
        polygon = [list(point) for point in outline]
        text += _SENSOR.format(n=number)
        text += _BERTH.format(no=1000 + number, n=number, camera=camera, polygon=polygon)
    config = folder / "edged.toml"
    config.write_text(text)
    return config


@contextmanager
def _sensors(folder: Path, count: int) -> Iterator[list[SimulatedDevice]]:
    profile = next(
        load_profile(directory / "ld120.toml")
        for directory in standard_profile_directories()
        if (directory / "ld120.toml").exists()
    )
    devices = [SimulatedDevice(profile, number) for number in range(1, count + 1)]
    simulator = BusSimulator(devices, link=folder / "bus0", timing=LinkTiming(baudrate=9600))
    stop = threading.Event()
    thread = threading.Thread(target=simulator.run, args=(stop,))
    thread.start()
    try:
        _until((folder / "bus0").exists, 10)
        yield devices
    finally:
        stop.set()
        thread.join()


@contextmanager
def _daemon(folder: Path, config: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the daemon as systemd would, and wait for READY."""
    ready, ended = threading.Event(), threading.Event()

    def listen() -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                if b"READY=1" in manager.recv(4096):
                    ready.set()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(0.2)
        listener = threading.Thread(target=listen)
        listener.start()
        command = [sys.executable, "-c", "from edged.cli import main; main()", "run", "--config", str(config)]
        environment = os.environ | {"NOTIFY_SOCKET": str(folder / "notify")}
        with (folder / "edged.log").open("wb") as log:
            daemon = subprocess.Popen(command, stderr=log, env=environment)
        try:
            _until(ready.is_set, _READY_WITHIN_S)
            yield daemon
        finally:
            daemon.terminate()
            daemon.wait(20)
            ended.set()
            listener.join()


def _until(condition: Callable[[], bool], within_s: float) -> None:
    end_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError(f"not within {within_s:.0f} s")
        time.sleep(0.05)


def measure(title: str, cameras: list[ShownCamera], rounds: int, idle_s: float) -> None:
    """Run the cars and print the figures."""
    with running(cameras) as bench:
        time.sleep(5)
        rested = bench.usage()
        time.sleep(idle_s)
        idle = bench.usage()
        pictures_bytes = bench.picture_bytes()
        delays_s = [delay_s for _ in range(rounds) for delay_s in bench.round_trip()]
        busy = bench.usage()
        pictures_bytes = bench.picture_bytes() - pictures_bytes
    visits = rounds * len(bench.devices)
    written_kb = (busy.written_bytes - idle.written_bytes - pictures_bytes) / visits / 1000
    hourly_mb = (idle.written_bytes - rested.written_bytes) / 1e6 / (idle.at_s - rested.at_s) * 3600
    p50_s, p99_s = np.percentile(delays_s, [50, 99])
    print(f"{title}, {visits} visits, {os.cpu_count()} cores")
    print(f"  start to READY            {bench.ready_s:6.2f} s")
    print(f"  contact to plate p50      {p50_s:6.2f} s (1 s of it settling)")
    print(f"  contact to plate p99      {p99_s:6.2f} s")
    print(f"  CPU idle                  {idle.cpu_percent_since(rested):6.1f} % of a core")
    print(f"  CPU a visit               {(busy.cpu_s - idle.cpu_s) / visits:6.2f} s")
    print(f"  RSS of main process, peak {busy.peak_mib:6.0f} MiB")
    print(f"  written a visit           {written_kb:6.1f} kB without pictures")
    print(f"  written when idle         {hourly_mb:6.2f} MB/h", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--idle-s", type=float, default=_IDLE_S)
    options = parser.parse_args()
    measure("8 MP camera, 4 arrivals at once", [four_berths_in_one(70)], options.rounds, options.idle_s)
    eight = [one_berth(80 + number) for number in range(8)]
    measure("8 cameras 1080p, 8 arrivals at once", eight, options.rounds, options.idle_s)
    return 0


if __name__ == "__main__":
    sys.exit(main())
