"""What can go wrong with the store, and the one place where OS and SQLite errors become it."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edged.domain.delivery import OutboxUnavailable


class StoreError(OutboxUnavailable):
    """The store cannot do this now; its trouble names the path."""

    def again(self) -> "StoreError":
        """Return a new error of the same kind and trouble, to be raised in another thread."""
        return type(self)(self.trouble.where, self.trouble.cause, self.trouble.remedy)


class StoreFullError(StoreError):
    """No room left on the disk, or the store's own limit is reached with nothing to drop."""


class StoreReadOnlyError(StoreError):
    """The directory cannot be written."""


class StoreCorruptError(StoreError):
    """The database file is damaged; the next `Store.reopen` replaces it by what can be read of it."""


class StoreDeletedError(StoreError):
    """The database file was deleted or replaced while it was open."""


class NoRecordsError(StoreError):
    """There is no store yet: no daemon ever ran with these settings."""


_FULL = {errno.ENOSPC, errno.EDQUOT}
_CHECK_DISK = "check the disk (dmesg, smartctl)"
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# Pages that the disk does not give: as good as damaged ones, and salvaged like them.
_UNREADABLE = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
_NO_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.EEXIST}
# With less room than its index of the WAL takes (32 KiB) and some pages, SQLite cannot open a database. It
# then says "disk I/O error" or "unable to open": the disk has to be asked.
_LEAST_BYTES = 128 * 1024


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn OSError and sqlite3.Error of the block into a StoreError about `path`."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise of_error(error, path) from error


def of_error(error: OSError | sqlite3.Error, path: Path) -> StoreError:
    """Return the StoreError that an error is to `path`."""
    return _of_os(error, path) if isinstance(error, OSError) else _of_sqlite(error, path)


def _of_os(error: OSError, path: Path) -> StoreError:
    if error.errno in _FULL:
        return _full(path, disk=True)
    if error.errno in _READ_ONLY:
        return _read_only(path, error)
    if error.errno in _NO_FOLDER:
        remedy = f"correct store.directory: {path.parent} cannot be a folder"
        return StoreError(str(path), error.strerror or str(error), remedy)
    return StoreError(str(path), error.strerror or str(error), _CHECK_DISK)


def _of_sqlite(error: sqlite3.Error, path: Path) -> StoreError:
    # primary result code; extended codes carry it in the low byte
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if path.is_dir():  # SQLite calls that an I/O error
        return StoreError(str(path), "is a folder, not a database", "move it out of the way")
    no_answer = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
    if code == sqlite3.SQLITE_FULL or (code in no_answer and is_disk_full(path.parent)):
        return _full(path, disk=is_disk_full(path.parent))
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return _read_only(path, error)
    if damages(error):
        return corrupt(path, error)
    if code == sqlite3.SQLITE_BUSY:
        return StoreError(str(path), "another program holds the database", f"close it (fuser {path})")
    return StoreError(str(path), str(error), _CHECK_DISK)


def damages(error: sqlite3.Error) -> bool:
    """Tell whether the error says that the database itself is damaged."""
    code = getattr(error, "sqlite_errorcode", 0)
    # the driver gives no code for text that is no UTF-8
    return code & 0xFF in _DAMAGED or code in _UNREADABLE or "decode to UTF-8" in str(error)


def corrupt(path: Path, error: Exception) -> StoreCorruptError:
    """Return the error of a database of which a page or a row is damaged."""
    remedy = "the daemon keeps the damaged file and goes on with what can be read of it"
    return StoreCorruptError(str(path), f"the database is damaged ({error})", remedy)


def is_disk_full(directory: Path) -> bool:
    """Tell whether the disk has no room, in bytes or in inodes, for an open database."""
    try:
        disk = os.statvfs(directory)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _LEAST_BYTES or (disk.f_files > 0 and disk.f_favail == 0)


def _full(path: Path, *, disk: bool) -> StoreFullError:
    if disk:
        remedy = f"free space on this disk (df -h {path.parent}; df -i where files are many)"
        return StoreFullError(str(path), "the disk is full: no room left", remedy)
    return StoreFullError(
        str(path), "the store's own limit is reached: no room left", "raise store.max_size_mib"
    )


def _read_only(path: Path, error: Exception) -> StoreReadOnlyError:
    return StoreReadOnlyError(
        str(path),
        f"cannot be opened for writing ({error})",
        f"check that the disk is mounted read-write and that the user edged owns {path.parent}",
    )
