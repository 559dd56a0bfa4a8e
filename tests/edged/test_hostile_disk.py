"""The whole daemon on a disk that is full, stalls, becomes read-only or loses an inode; and stopped itself.

A file system of its own in a file: needs the right to mount.
"""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_box import Box

from edged.store import Visit
from firmware_bridge.simulator import BusSimulator, SimulatedDevice
from tests.waiting import until

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


class Disk:
    """An ext4 file system at `path`, mounted from the file `image`."""

    def __init__(self, path: Path, image: Path) -> None:
        self.path, self.image = path, image

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", str(self.image), str(self.path)], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.path)], check=True)

    def freeze(self, how: str) -> None:
        subprocess.run(["fsfreeze", f"--{how}", str(self.path)], check=True)

    def fill(self) -> Path:
        """Leave no room; return the file that takes it."""
        filler = self.path / "filler"
        with filler.open("ab", buffering=0) as file:
            while free := shutil.disk_usage(self.path).free:
                file.write(bytes(free))
        return filler


@pytest.fixture
def disk(box: Box) -> Iterator[Disk]:
    disk = Disk(box.folder / "store", box.folder / "disk.img")
    disk.path.mkdir()
    with disk.image.open("wb") as image:
        image.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(disk.image)], check=True)
    mounted = subprocess.run(
        ["mount", "-o", "loop", str(disk.image), str(disk.path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a file")
    yield disk
    disk.unmount()


@pytest.fixture
def device(bus: BusSimulator) -> SimulatedDevice:
    device = bus.line.device(1)
    assert device is not None
    return device


def only_visit(box: Box) -> Visit:
    (visit,) = box.visits()
    return visit


def arrived_s(box: Box) -> float:
    """Return when the only visit began, on the monotonic clock."""
    arrived = only_visit(box).arrived
    assert arrived is not None
    return arrived.monotonic_s


def test_a_disk_that_stalls_for_a_minute_costs_nothing(box: Box, disk: Disk, device: SimulatedDevice) -> None:
    with box.running() as daemon:
        until(box.is_watched, within_s=30)
        disk.freeze("freeze")
        try:
            device.arrive()
            came_s = time.monotonic()
            until(lambda: "the disk does not answer" in box.causes().get("arrivals", ""), within_s=30)
            until(lambda: time.monotonic() - came_s > 60, within_s=70)
            assert daemon.poll() is None
        finally:
            disk.freeze("unfreeze")
        until(box.is_occupied, within_s=30)
        assert "arrivals" not in box.causes()
        assert daemon.poll() is None
    assert abs(arrived_s(box) - came_s) < 5


@pytest.mark.usefixtures("disk")
def test_a_process_that_is_stopped_for_a_while_is_not_taken_for_hanging(
    box: Box, device: SimulatedDevice
) -> None:
    with box.running() as daemon:
        until(box.is_watched, within_s=30)
        daemon.send_signal(signal.SIGSTOP)
        device.arrive()
        stopped_s = time.monotonic()
        until(lambda: time.monotonic() - stopped_s > 20, within_s=30)
        daemon.send_signal(signal.SIGCONT)
        until(box.is_occupied, within_s=30)
    assert "no progress" not in box.log()


def test_arrivals_wait_for_a_disk_that_is_full_at_the_start(
    box: Box, disk: Disk, device: SimulatedDevice
) -> None:
    filler = disk.fill()
    with box.running():
        until(lambda: "the disk is full" in box.log(), within_s=30)
        until(lambda: "sensor news wait in memory" in box.log(), within_s=30)
        device.arrive()
        came_s = time.monotonic()
        until(lambda: time.monotonic() - came_s > 5)
        filler.unlink()
        until(box.is_occupied, within_s=60)
    assert abs(arrived_s(box) - came_s) < 5


def test_what_cannot_be_stored_at_the_end_is_in_the_log(
    box: Box, disk: Disk, device: SimulatedDevice
) -> None:
    def come_and_go_until_refused() -> bool:
        """The end of the WAL's last block has room for an instruction or two."""
        for move in (device.arrive, device.leave):
            move()
            moved_s = time.monotonic()
            until(lambda moved_s=moved_s: time.monotonic() - moved_s > 4)  # type: ignore[misc]
        return "arrivals" in box.causes()

    with box.running(ends_with=1):
        until(box.is_watched, within_s=30)
        filler = disk.fill()
        until(come_and_go_until_refused, within_s=120)
        assert "the disk is full" in box.causes()["arrivals"]
    filler.unlink()
    assert "instruction lost" in box.log()


def test_one_damaged_inode_keeps_the_daemon_from_nothing(
    box: Box, disk: Disk, device: SimulatedDevice
) -> None:
    with box.running():
        until(box.is_watched, within_s=30)
        device.arrive()
        until(lambda: only_visit(box).reading if box.visits() else None, within_s=60)
        device.leave()
        until(box.is_watched, within_s=30)
    (picture,) = (disk.path / "evidence").glob("*/*.jpg")
    inode = picture.stat().st_ino
    disk.unmount()
    # a mode that no file has, under a checksum that does not fit: EUCLEAN, as a torn inode gives
    command = ["debugfs", "-w", "-R", f"sif <{inode}> mode 0", str(disk.image)]
    subprocess.run(command, check=True, capture_output=True)
    command = ["debugfs", "-w", "-R", f"sif <{inode}> extra_isize 9999", str(disk.image)]
    subprocess.run(command, check=True, capture_output=True)
    disk.mount()
    with pytest.raises(OSError, match=r"clean|Input"):
        picture.read_bytes()
    with box.running():
        until(box.is_watched, within_s=30)
        assert str(picture) in box.causes()["evidence"]
        device.arrive()
        until(box.is_occupied, within_s=30)
