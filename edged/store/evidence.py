"""Evidence pictures: one file each, named by its hash, complete or not there at all."""

import errno
import os
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import structlog

from edged.domain.health import Finding, HealthStatus

_NAME = re.compile(r"[0-9a-f]{64}\.jpg")
_HASH = re.compile(r"[0-9a-f]{64}")
_GONE = {errno.ENOENT}

log = structlog.get_logger(__name__)


class EvidenceFolder:
    """`root`/ab/abcdef....jpg

    A file that the disk cannot give (EIO, a damaged inode) is skipped, counted and named in `problem`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._faults: dict[Path, str] = {}  # what could not be read or removed, and why
        self._turn = 0  # of the faults: which one is looked at next

    @property
    def problem(self) -> Finding | None:
        """What the disk does not give, None when nothing is wrong."""
        faults = self._faults.copy()
        if not faults:
            return None
        path, reason = next(iter(faults.items()))
        number = f"{len(faults)} evidence files are" if len(faults) > 1 else "an evidence file is"
        return Finding(
            where="evidence",
            status=HealthStatus.DEGRADED,
            cause=f"{number} skipped: {path}: {reason}",
            remedy="check the disk (dmesg, smartctl); stop edged and run fsck; replace the storage card",
        )

    def path(self, digest: str) -> Path:
        """Return where the picture lies or would lie. Raises ValueError for anything but a SHA-256 in hex."""
        if not _HASH.fullmatch(digest):
            raise ValueError(f"not a SHA-256 in lower-case hex: {digest!r}")
        return self.root / digest[:2] / f"{digest}.jpg"

    def has(self, digest: str) -> bool:
        """Tell whether the picture is here. What is no SHA-256 is not; nor is what the disk does not give."""
        try:
            return self.path(digest).is_file()
        except (OSError, ValueError):
            return False

    def read(self, digest: str) -> bytes | None:
        """Return the picture; None when it is not here or cannot be read."""
        try:
            path = self.path(digest)
        except ValueError:
            return None
        try:
            jpeg = path.read_bytes()
        except OSError as error:
            if error.errno not in _GONE:
                self._skip(path, error)
            return None
        self._faults.pop(path, None)
        return jpeg

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

    def remove(self, digest: str) -> bool:
        """Remove a picture; False when the disk refuses. One that is not here counts as removed."""
        path = self.path(digest)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._skip(path, error)
            return False
        self._faults.pop(path, None)
        return True

    def refuses(self, digest: str) -> bool:
        """Tell whether the disk could not read or remove the picture when it was last tried."""
        return self.path(digest) in self._faults

    def look_again(self) -> None:
        """Try one of the files and folders that were skipped, each in its turn: the disk may give it again.

        One only: a dying card takes seconds for each.
        """
        faults = list(self._faults)
        if not faults:
            return
        self._turn += 1
        path = faults[self._turn % len(faults)]
        try:
            if _NAME.fullmatch(path.name):
                path.read_bytes()
            else:
                list(path.iterdir())
        except OSError as error:
            if error.errno not in _GONE:
                return
        self._faults.pop(path, None)

    def scan(self) -> Iterator[tuple[str, int, float]]:
        """Yield hash, size in bytes and time (seconds since 1970) of every picture that the disk gives.

        Files that a crash left half-written are removed on the way.
        """
        for folder in self._entries(self.root):
            if not re.fullmatch("[0-9a-f]{2}", folder.name):
                continue
            for entry in self._entries(Path(folder.path)):
                path = Path(entry.path)
                try:
                    if entry.name.endswith(".part"):
                        path.unlink(missing_ok=True)
                    elif _NAME.fullmatch(entry.name):
                        status = entry.stat()
                        yield entry.name.removesuffix(".jpg"), status.st_size, status.st_mtime
                except OSError as error:
                    if error.errno not in _GONE:
                        self._skip(path, error)

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            return sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if error.errno not in _GONE:
                self._skip(folder, error)
            return []

    def _skip(self, path: Path, error: OSError) -> None:
        reason = error.strerror or str(error)
        if self._faults.get(path) != reason:
            log.error("evidence skipped", path=str(path), reason=reason)
        self._faults[path] = reason


def sync_directory(path: Path) -> None:
    """Make renames in `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
