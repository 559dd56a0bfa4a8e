"""The guest: Debian's kernel, an initramfs with busybox, and the host's own files, read-only over 9p.

So the guest runs this checkout with this Python; only its data disk is its own.
"""

import json
import os
import platform
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.reliability.powercut.disk import Disk

REPOSITORY = Path(__file__).resolve().parents[3]
GUEST = Path(__file__).with_name("guest.py")
META_PACKAGE = "linux-image-amd64"
# Without a hardware accelerator, on a busy machine, a boot takes minutes.
BOOT_WITHIN_S = 900.0
LINE_WITHIN_S = 300.0
MEMORY_MIB = 512
# In the order in which the kernel needs them.
_MODULES = (
    *("drivers/virtio/virtio_ring", "drivers/virtio/virtio"),
    *("drivers/virtio/virtio_pci_legacy_dev", "drivers/virtio/virtio_pci_modern_dev"),
    *("drivers/virtio/virtio_pci", "drivers/block/virtio_blk"),
    *("crypto/crc32c_generic", "lib/crc16", "fs/mbcache", "fs/jbd2/jbd2", "fs/ext4/ext4"),
    *("fs/netfs/netfs", "fs/fscache/fscache", "net/9p/9pnet", "net/9p/9pnet_virtio", "fs/9p/9p"),
)
_INIT = """#!/bin/busybox sh
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /host
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /modules/order); do insmod /modules/$module.ko; done
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 host /host
mount --bind /dev /host/dev
mount --bind /proc /host/proc
mount -t ext4 /dev/vda /host/mnt
stty -F /dev/ttyS1 raw -echo
for word in $(cat /proc/cmdline); do case $word in edged.*) export ${word#edged.};; esac; done
export PYTHONPATH=$path PYTHONDONTWRITEBYTECODE=1
chroot /host $python $guest /mnt/store $round >/dev/ttyS1
echo "the guest's program ended with status $?"
umount /host/mnt
poweroff -f
"""


class Missing(Exception):
    """Something that the guest needs is not on this machine; the message says how to get it."""


class GuestFailure(Exception):
    """The guest did not do what it should; the message has the end of its console."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What QEMU boots."""

    image: Path
    initramfs: Path

    @classmethod
    def prepared(cls, folder: Path) -> Self:
        """Return Debian's kernel with our initramfs, fetched and built in `folder` at the first call.

        Raises Missing when this machine cannot have them.
        """
        if platform.machine() != "x86_64":
            raise Missing(f"the guest is x86-64, this machine is {platform.machine()}")
        for program in ("qemu-system-x86_64", "busybox", "mkfs.ext4", "dpkg-deb", "apt-get"):
            if shutil.which(program) is None:
                raise Missing(f"{program} is not installed; run `make powercut` as root on Debian")
        folder.mkdir(parents=True, exist_ok=True)
        unpacked = folder / "kernel"
        if not unpacked.exists():
            _fetch(folder, unpacked)
        image = next((unpacked / "boot").glob("vmlinuz-*"))
        initramfs = folder / "initramfs"
        _build_initramfs(unpacked, initramfs, folder / "root")
        return cls(image=image, initramfs=initramfs)


def _fetch(folder: Path, unpacked: Path) -> None:
    """Download Debian's kernel package and unpack it; nothing is installed."""
    words = _output(["apt-cache", "depends", META_PACKAGE]).split()
    name = next((word for word in words if word.startswith("linux-image-") and word != META_PACKAGE), None)
    if name is None:
        raise Missing(f"apt knows no kernel ({META_PACKAGE}); run `apt-get update`")
    _output(["apt-get", "download", name], cwd=folder)
    [package] = folder.glob(f"{name}_*.deb")
    part = folder / "kernel.part"
    shutil.rmtree(part, ignore_errors=True)
    _output(["dpkg-deb", "-x", str(package), str(part)])
    package.unlink()
    part.rename(unpacked)


def _output(command: list[str], cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        raise Missing(f"`{' '.join(command)}` failed: {done.stderr.strip()[-300:]}")
    return done.stdout


def _build_initramfs(unpacked: Path, initramfs: Path, root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    (root / "bin").mkdir(parents=True)
    (root / "modules").mkdir()
    shutil.copy(shutil.which("busybox") or "", root / "bin" / "busybox")
    [modules] = (unpacked / "lib" / "modules").iterdir()
    for module in _MODULES:
        shutil.copy(modules / "kernel" / f"{module}.ko", root / "modules")
    order = "\n".join(Path(module).name for module in _MODULES)
    (root / "modules" / "order").write_text(order + "\n")
    (root / "init").write_text(_INIT)
    (root / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with initramfs.open("wb") as file:
        subprocess.run(
            ["busybox", "cpio", "-o", "-H", "newc"], input=names.encode(), stdout=file, cwd=root, check=True
        )


class Boot:
    """A running guest; the block ends it in any case."""

    def __init__(self, kernel: Kernel, disk: Disk, *, number: int, log: Path) -> None:
        self._log = log
        said = {
            "path": f"{REPOSITORY}:{REPOSITORY / 'tests' / 'store'}",
            "python": sys.executable,
            "guest": str(GUEST),
            "round": f"round{number}",
        }
        words = [f"edged.{key}={value}" for key, value in said.items()]
        self._command = [
            "qemu-system-x86_64",
            *("-accel", "tcg", "-cpu", "max", "-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config"),
            *("-display", "none", "-no-reboot"),
            *("-kernel", str(kernel.image), "-initrd", str(kernel.initramfs)),
            *("-append", " ".join(["console=ttyS0 loglevel=4 panic=-1 random.trust_cpu=on", *words])),
            *("-serial", f"file:{log}", "-serial", "stdio"),
            *("-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"),
            *disk.options(),
        ]
        self._buffer = b""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait_for(self, line: str) -> None:
        """Return when the guest has said `line`."""
        while self.line(within_s=BOOT_WITHIN_S) != line:
            pass

    def report(self) -> dict[str, Any]:
        """Return what the guest's store holds."""
        self.wait_for("opening")
        content: dict[str, Any] = json.loads(self.line(within_s=BOOT_WITHIN_S))
        return content

    def line(self, *, within_s: float = LINE_WITHIN_S) -> str:
        """Return the next line of the guest; GuestFailure when there is none in time."""
        end_s = time.monotonic() + within_s
        while b"\n" not in self._buffer:
            if not self._read(max(0.0, end_s - time.monotonic())):
                raise GuestFailure(f"no line of the guest: {self._buffer!r}; its console: {self._console()}")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("utf-8", "replace").strip()

    def cut(self) -> None:
        """End the guest as a power cut does: nothing of its memory reaches the disk any more."""
        self._process.kill()
        self._process.wait()

    def rest(self) -> Iterator[str]:
        """Yield the whole lines that the guest had said before the cut."""
        while self._read(0.0):
            pass
        *lines, self._buffer = self._buffer.split(b"\n")
        yield from (line.decode("utf-8", "replace").strip() for line in lines)

    def _read(self, within_s: float) -> bool:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], within_s)
        chunk = os.read(self._process.stdout.fileno(), 65536) if ready else b""
        self._buffer += chunk
        return bool(chunk)

    def _console(self) -> str:
        try:
            return " | ".join(self._log.read_text(errors="replace").split("\n")[-12:])
        except OSError:
            return "empty"
