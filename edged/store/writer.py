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

    def __init__(self, path: Path, make_room: Callable[[Database], bool]) -> None:
        self._path = path
        self._db: Database | None = None
        self._why_closed = StoreError(str(path), "not open yet", "nothing to do: the daemon opens it")
        self._make_room = make_room
        self._lock = RLock()
        self.problem: Finding | None = None  # why the last write failed

    def open(self, db: Database) -> None:
        """Write to `db` from now on; it is the writer's to close."""
        with self._lock:
            self._db = db
            self.problem = None

    def close(self, why: StoreError, rescue: Callable[[Database], None] | None = None) -> None:
        """Close the connection, after `rescue` has had it; later calls raise `why`."""
        with self._lock:
            if self._db is not None:
                if rescue is not None:
                    rescue(self._db)  # when this fails, the connection is all that there is: it stays open
                self._db.close()
            self._db = None
            self._why_closed = why

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
        db = self._db
        if db is None:
            raise self._why_closed.again()
        with translated(self._path):
            # IMMEDIATE takes the write lock before the first read, so that a technician's command beside
            # the daemon waits its turn; db.atomic() begins deferred, and nests in this as a savepoint.
            db.conn.execute("BEGIN IMMEDIATE")
            try:
                with db.atomic():
                    result = work(db)
                db.conn.execute("COMMIT")
            except BaseException:
                if db.conn.in_transaction:
                    db.conn.execute("ROLLBACK")
                raise
            return result
