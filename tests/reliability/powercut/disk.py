"""The guest's disk: what it was made to keep (flushed) survives a cut, of the rest what chance decides."""

import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Self

SIZE_BYTES = 256 * 1024 * 1024
SECTOR_BYTES = 512
CACHE_MODE = "writeback; at a cut each sector written since the last flush is kept or lost by chance"
# Of QEMU's block/blklogwrites.c, which writes the format of the kernel's dm-log-writes.
_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")
_MAGIC = 0x6A736677736872
_FLUSH, _FUA, _DISCARD = 1, 2, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Write:
    offset_bytes: int
    data: bytes
    is_durable: bool  # by itself


@dataclass(slots=True)
class Disk:
    """`image` is the disk; during a boot QEMU writes every write and flush to `log` too."""

    folder: Path
    lost: int = 0  # sectors, at the last cut
    lost_in_all: int = 0

    @classmethod
    def formatted(cls, folder: Path) -> Self:
        """Return an empty ext4 disk, as the pole's Debian makes them."""
        disk = cls(folder)
        with disk.image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-b", "4096", str(disk.image)], check=True)
        return disk

    @property
    def image(self) -> Path:
        return self.folder / "disk.raw"

    @property
    def log(self) -> Path:
        return self.folder / "writes.log"

    @property
    def _before(self) -> Path:
        return self.folder / "before.raw"

    def begin_log(self) -> None:
        """Remember the disk as it is; what QEMU writes from now on is logged."""
        subprocess.run(["cp", "--sparse=always", str(self.image), str(self._before)], check=True)
        self.log.write_bytes(b"")

    def options(self) -> list[str]:
        """Return QEMU's options for this disk."""
        file = "driver=file,cache.direct=off,cache.no-flush=off"
        return [
            *("-blockdev", f"{file},node-name=data,filename={self.image}"),
            *("-blockdev", f"{file},node-name=log,filename={self.log}"),
            "-blockdev",
            "driver=blklogwrites,node-name=disk,file=data,log=log,"
            f"log-sector-size={SECTOR_BYTES},log-super-update-interval=1",
            *("-device", "virtio-blk-pci,drive=disk,write-cache=on"),
        ]

    def lose_power(self, rng: Random) -> None:
        """Build the disk as the cut left it: all that was flushed, and by chance sectors written since."""
        writes = list(self._logged())
        last_flush = max((at for at, write in enumerate(writes) if write is None), default=-1)
        share_lost = rng.random()
        self.lost = 0
        with self._before.open("r+b") as file:
            for at, write in enumerate(writes):
                if write is None:
                    continue
                for start in range(0, len(write.data), SECTOR_BYTES):
                    if at > last_flush and not write.is_durable and rng.random() < share_lost:
                        self.lost += 1
                        continue
                    file.seek(write.offset_bytes + start)
                    file.write(write.data[start : start + SECTOR_BYTES])
        self.lost_in_all += self.lost
        shutil.move(self._before, self.image)

    def _logged(self) -> Iterator[_Write | None]:
        """Yield the writes in the order in which they were done; None: a flush."""
        with self.log.open("rb") as file:
            head = file.read(SECTOR_BYTES)
            if len(head) < SECTOR_BYTES:
                return  # cut before the first write
            magic, _, count, sector_bytes = _SUPER.unpack_from(head)
            if magic != _MAGIC:
                raise ValueError(f"{self.log}: not a log of writes, it begins with {magic:#x}")
            for _ in range(count):
                sector, sectors, flags, _ = _ENTRY.unpack_from(file.read(sector_bytes))
                if flags & _FLUSH:
                    yield None
                if flags & _DISCARD or not sectors:
                    continue
                data = file.read(sectors * sector_bytes)
                yield _Write(offset_bytes=sector * sector_bytes, data=data, is_durable=bool(flags & _FUA))
