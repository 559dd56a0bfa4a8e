"""Evidence pictures: one file each, named by its hash, complete or not there at all."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

_NAME = re.compile(r"[0-9a-f]{64}\.jpg")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class EvidenceFolder:
    """`root`/ab/abcdef....jpg"""

    root: Path

    def path(self, digest: str) -> Path:
        """Return where the picture lies or would lie. Raises ValueError for anything but a SHA-256 in hex."""
        if not _HASH.fullmatch(digest):
            raise ValueError(f"not a SHA-256 in lower-case hex: {digest!r}")
        return self.root / digest[:2] / f"{digest}.jpg"

    def write(self, jpeg: bytes) -> str:
        """Return the picture's hash once it is durable. Raises OSError, and leaves nothing half-written."""
        digest = sha256(jpeg).hexdigest()
        path = self.path(digest)
        if path.exists():
            return digest
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            sync_directory(self.root)
        part = path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                file.write(jpeg)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
        return digest

    def remove(self, digest: str) -> None:
        self.path(digest).unlink(missing_ok=True)

    def scan(self) -> Iterator[tuple[str, int]]:
        """Yield (hash, size_bytes) of every picture; half-written files of a crash are removed on the way."""
        for folder in sorted(self.root.glob("[0-9a-f][0-9a-f]")):
            for entry in os.scandir(folder):
                if entry.name.endswith(".part"):
                    Path(entry.path).unlink(missing_ok=True)
                elif _NAME.fullmatch(entry.name):
                    yield entry.name.removesuffix(".jpg"), entry.stat().st_size


def sync_directory(path: Path) -> None:
    """Make renames in `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
