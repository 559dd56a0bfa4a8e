"""A database that is opened, found faulty and opened again while the daemon runs."""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self, TypeVar

import structlog
from sqlite_utils import Database

from edged.domain.health import Finding, HealthStatus
from edged.settings import StoreSettings
from edged.store import recording
from edged.store.archive import Archive
from edged.store.database import connect, open_database, rescued_path
from edged.store.errors import (
    StoreCorruptError,
    StoreDeletedError,
    StoreError,
    StoreFullError,
    of_error,
    translated,
)
from edged.store.retention import Retention, database_bytes, database_size, drop_oldest
from edged.store.salvage import rescue_open
from edged.store.writer import Writer

# Room made on a full disk before the database is opened: for its WAL and some days of records. A damaged
# database needs as much again as it has, for its copy.
ROOM_TO_OPEN_BYTES = 8 * 1024 * 1024
# How long health shows that a database was damaged or deleted and has been replaced.
_NOTICE_S = 24 * 3600.0

Result = TypeVar("Result")

log = structlog.get_logger(__name__)


class ReopenedArchive(Archive):
    """An archive with a writer, whose file may be damaged or deleted under it.

    One that is not open yet, or whose file is damaged or deleted, sets `needs_opening`; `reopen` mends it.
    """

    def __init__(self, settings: StoreSettings) -> None:
        super().__init__(settings.directory, None)
        self._settings = settings
        self._retention = Retention(settings, self.evidence)
        self._writer = Writer(self.path, self._retention.make_room)
        self.needs_opening = threading.Event()
        self.needs_opening.set()
        self._lock: IO[str] | None = None
        self._file_id: tuple[int, int] | None = None  # of the open file; None: not open
        self._fault = StoreError(str(self.path), "not open yet", "nothing to do: the daemon opens it")
        self._damage: StoreError | None = None  # what `reopen` has to mend
        self._notices: tuple[tuple[float, Finding], ...] = ()  # what an opening had to do, and when

    @classmethod
    def open(cls, settings: StoreSettings) -> Self:
        """Return an open store. Raises StoreError when the directory cannot be used; see `reopen`."""
        store = cls(settings)
        try:
            store.reopen()
        except BaseException:
            store.close()
            raise
        return store

    @property
    def is_open(self) -> bool:
        return self._file_id is not None

    def reopen(self, progress: Callable[[], None] = lambda: None) -> None:
        """Open or make the store, or open it again. A damaged database is set aside and salvaged.

        When the disk is full, own pictures make room, the oldest first. `progress` is called while a damaged
        database is read; it may raise to interrupt that, and a later call goes on where this one was. Raises
        StoreError when the store cannot be used; each call raises the same until it is open.
        """
        try:
            with translated(self.path):
                try:
                    self._replace_connections(progress)
                except (OSError, sqlite3.Error) as error:
                    if not isinstance(of_error(error, self.path), StoreFullError) or not self._drop_oldest():
                        raise
                    self._replace_connections(progress)
        except StoreError as error:
            self._fault = error
            raise
        self._damage = None
        self.needs_opening.clear()
        self._tend_pictures()

    def look_at_file(self) -> None:
        """Notice that the open database file was deleted or replaced."""
        if self._file_id is None:
            return
        try:
            status = self.path.stat()
        except FileNotFoundError:
            file_id = None
        except OSError:
            return  # whether it is there is unknown
        else:
            file_id = status.st_dev, status.st_ino
        if file_id != self._file_id:
            what = "was deleted while edged ran" if file_id is None else "was replaced while edged ran"
            self._note_fault(StoreDeletedError(str(self.path), what, "the daemon writes it again"))

    def close(self) -> None:
        super().close()
        self._writer.close(self._closed())
        self._file_id = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What is wrong now, for health: what was damaged, what could not be written, what was lost."""
        if self.needs_opening.is_set():
            return (Finding.of("store", HealthStatus.FAILED, self._fault.trouble),)
        fresh_from_s = time.monotonic() - _NOTICE_S
        notices = [notice for at_s, notice in self._notices if at_s > fresh_from_s]
        live = (self._writer.problem, self._retention.problem, self.evidence.problem)
        return (*notices, *(problem for problem in live if problem))

    def _replace_connections(self, progress: Callable[[], None]) -> None:
        """Close what is open, and open anew. A database whose file was deleted is written again before."""
        self.evidence.root.mkdir(mode=0o750, parents=True, exist_ok=True)
        if isinstance(self._damage, StoreDeletedError):
            rescued = rescued_path(self.path)
            self._writer.close(self._fault, lambda db: rescue_open(db, self.path, rescued))
        else:
            self._writer.close(self._fault)
        super().close()
        self._file_id = None
        if self._lock is not None and not os.fstat(self._lock.fileno()).st_nlink:  # deleted with its folder
            self._lock.close()
            self._lock = None
        self._lock = self._lock or _exclusive(self.directory)
        opened = open_database(
            self.path,
            max_bytes=database_bytes(self._settings),
            is_damaged=isinstance(self._damage, StoreCorruptError),
            progress=progress,
        )
        try:
            reader = connect(self.path, read_only=True)
            status = self.path.stat()
        except BaseException:
            opened.db.close()
            raise
        with self._reader_lock:
            self._reader = reader
        self._writer.open(opened.db)
        self._file_id = status.st_dev, status.st_ino
        self._fault = StoreError(str(self.path), "closed", "")
        for problem in opened.problems:
            log.error("store damaged", problem=str(problem))
        self._notices += tuple((time.monotonic(), problem) for problem in opened.problems)

    def _drop_oldest(self) -> bool:
        """Make room on a full disk, so that the database can be opened; tell whether anything went."""
        dropped = drop_oldest(self.evidence, ROOM_TO_OPEN_BYTES + 2 * database_size(self.directory))
        if dropped:
            log.error("pictures dropped: the disk is full", count=dropped)
        return dropped > 0

    def _closed(self) -> StoreError:
        return self._fault.again()

    def _note_fault(self, fault: StoreError) -> None:
        """Note the fault, which `reopen` has to mend."""
        if not self.needs_opening.is_set():
            log.error("store faulty", reason=str(fault))
            self._fault = self._damage = fault
            self.needs_opening.set()

    @contextmanager
    def _reading(self) -> Iterator[Database]:
        try:
            with super()._reading() as db:
                yield db
        except StoreCorruptError as error:
            self._note_fault(error)
            raise

    def _write(self, work: Callable[[Database], Result]) -> Result:
        try:
            return self._writer.write(work)
        except StoreCorruptError as error:
            self._note_fault(error)
            raise

    def _tend_pictures(self) -> None:
        """Take pictures that no row knows (a crash, a fresh database) into retention's care.

        Rows whose picture has gone go too, unless the disk does not give all of the folder.
        """
        found = {digest: size_bytes for digest, size_bytes, _ in self.evidence.scan()}
        try:
            with self._reading() as db:
                known = {row["sha256"] for row in db.query("SELECT sha256 FROM evidence")}
            new = [(digest, size_bytes) for digest, size_bytes in found.items() if digest not in known]
            gone = [] if self.evidence.problem else [digest for digest in known if digest not in found]
            if new or gone:
                self._write(lambda db: recording.pictures(db, new, gone))
                log.warning("evidence adopted", new=len(new), gone=len(gone))
        except StoreError as error:  # the next start tries again; the records work without
            log.error("evidence not adopted", reason=str(error))


def _exclusive(directory: Path) -> IO[str]:
    """Hold the store for this process; the lock goes with the process, however it ends."""
    lock = (directory / "edged.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StoreError(
            str(directory), "another edged uses this store", "stop it first (systemctl stop edged)"
        ) from error
    return lock
