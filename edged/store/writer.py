"""The one writer: a lock, a connection, transactions that are durable when they return."""

from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import TypeVar

from sqlite_utils import Database

from edged.domain.health import Finding, HealthStatus
from edged.store.errors import StoreError, StoreFullError, translated

Result = TypeVar("Result")


class Writer:
    """Serialises all threads' writes; when the store is full, makes room and tries once more."""

    def __init__(self, path: Path, db: Database, make_room: Callable[[Database], bool]) -> None:
        self._path = path
        self._db = db
        self._make_room = make_room
        self._lock = RLock()
        self.problem: Finding | None = None  # why the last write failed

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def write(self, work: Callable[[Database], Result]) -> Result:
        """Run `work` in one transaction. Raises StoreError, and then nothing has changed."""
        with self._lock:
            try:
                result = self._with_room(work)
            except StoreError as error:
                self.problem = Finding.of("store", HealthStatus.FAILED, error.trouble)
                raise
            self.problem = None
            return result

    def make_room(self) -> bool:
        """Drop what may go; tell whether anything went. Raises StoreError."""
        with self._lock:
            return self._transaction(self._make_room)

    def _with_room(self, work: Callable[[Database], Result]) -> Result:
        try:
            return self._transaction(work)
        except StoreFullError:
            if not self.make_room():
                raise
            return self._transaction(work)

    def _transaction(self, work: Callable[[Database], Result]) -> Result:
        with translated(self._path):
            # IMMEDIATE takes the write lock before the first read, so that a technician's command beside
            # the daemon waits its turn; db.atomic() begins deferred, and nests in this as a savepoint.
            self._db.conn.execute("BEGIN IMMEDIATE")
            try:
                with self._db.atomic():
                    result = work(self._db)
                self._db.conn.execute("COMMIT")
            except BaseException:
                if self._db.conn.in_transaction:
                    self._db.conn.execute("ROLLBACK")
                raise
            return result
