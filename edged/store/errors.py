"""What can go wrong with the store, and the one place where OS and SQLite errors become it."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edged.domain.delivery import OutboxUnavailable


class StoreError(OutboxUnavailable):
    """The store cannot do this now; its trouble names the path."""


class StoreFullError(StoreError):
    """No room left on the disk, or the store's own limit is reached with nothing to drop."""


class StoreReadOnlyError(StoreError):
    """The directory cannot be written."""


class StoreCorruptError(StoreError):
    """The database file is damaged; the next `Store.open` sets it aside and begins a fresh one."""


class NoRecordsError(StoreError):
    """There is no store yet: no daemon ever ran with these settings."""


_FULL = {errno.ENOSPC, errno.EDQUOT}
_CHECK_DISK = "check the disk (dmesg, smartctl)"
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_NO_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.EEXIST}


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn OSError and sqlite3.Error of the block into a StoreError about `path`."""
    try:
        yield
    except OSError as error:
        raise _of_os(error, path) from error
    except sqlite3.Error as error:
        raise _of_sqlite(error, path) from error


def _of_os(error: OSError, path: Path) -> StoreError:
    if error.errno in _FULL:
        return _full(path)
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
    if code == sqlite3.SQLITE_FULL:
        return _full(path)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return _read_only(path, error)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreCorruptError(
            str(path),
            str(error),
            "restart edged: it sets the damaged file aside and goes on with a fresh one",
        )
    if code == sqlite3.SQLITE_BUSY:
        return StoreError(str(path), "another program holds the database", f"close it (fuser {path})")
    return StoreError(str(path), str(error), _CHECK_DISK)


def _full(path: Path) -> StoreFullError:
    return StoreFullError(
        str(path),
        "no room left",
        f"free space on this disk (df -h {path.parent}) or raise store.max_size_mib",
    )


def _read_only(path: Path, error: Exception) -> StoreReadOnlyError:
    return StoreReadOnlyError(
        str(path),
        f"cannot be opened for writing ({error})",
        f"check that the disk is mounted read-write and that the user edged owns {path.parent}",
    )
