"""Opening the database: pragmas, migrations, and a damaged file set aside and salvaged."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from sqlite_utils import Database

from edged.domain.health import Finding, HealthStatus
from edged.store.errors import StoreError, damages
from edged.store.evidence import sync_directory
from edged.store.salvage import Progress, rescue

FILE_NAME = "edged.db"
BUSY_TIMEOUT_MS = 5000
# A commit writes whole pages: small ones wear the SD card less (docs/decisions/0051).
PAGE_SIZE_BYTES = 1024
# How far the WAL grows before its pages, each once, are copied into the database.
CHECKPOINT_PAGES = 4096
# Bounds the -wal file left behind by a long transaction.
JOURNAL_LIMIT_BYTES = 8 * 1024 * 1024
# Pages that a connection keeps in this process. SQLite's 2 MiB fill within a thousand visits and stay; the
# kernel has the pages anyway.
CACHE_KIB = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A migrated database; `problems` tell what had to be done to get it."""

    db: Database
    problems: tuple[Finding, ...]


def connect(path: Path, *, read_only: bool = False) -> Database:
    """Return a connection with the store's pragmas; the caller serialises its use."""
    mode = _reading_mode(path) if read_only else "mode=rwc"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        if not read_only:
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE_BYTES}")  # of a file yet to be made
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            # FULL: one sync a commit, and a committed arrival survives a power cut
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_LIMIT_BYTES}")
        return Database(connection, execute_plugins=False)
    except BaseException:
        connection.close()
        raise


def _reading_mode(path: Path) -> str:
    """Return how to open a database for reading.

    SQLite makes `-wal` and `-shm` even for a reader, and members of the group `edged` may not write the
    folder. Once the daemon has stopped and its `-wal` is gone, nothing changes the file: they read that.
    """
    at_rest = not path.with_name(f"{path.name}-wal").exists()
    return "mode=ro&immutable=1" if at_rest and not os.access(path.parent, os.W_OK) else "mode=ro"


def open_database(
    path: Path, *, max_bytes: int, is_damaged: bool = False, progress: Progress = lambda: None
) -> Opened:
    """Return the database at `path`, made or migrated; a damaged one is replaced by what can be read of it.

    A power cut on the way loses nothing: the replacement is complete before the damaged file moves.
    `is_damaged`: it is known to be, whatever a check says. `progress` is called while a damaged one is read.
    Raises sqlite3.Error or OSError when even a fresh file cannot be made.
    """

    def make(file: Path) -> Database:
        return _prepared(connect(file), max_bytes)

    rescued = rescued_path(path)
    if not rescued.exists() and path.exists() and (is_damaged or not _is_sound(path)):
        rescue(path, rescued, make, progress)
    if not rescued.exists():
        return Opened(db=make(path), problems=())
    what = f"was damaged and is kept as {_set_aside(path).name}" if path.exists() else "was deleted"
    rescued.rename(path)
    sync_directory(path.parent)
    db = make(path)
    visits, events = (db.table(name).count for name in ("visit", "outbox"))
    problem = Finding(
        where="store",
        status=HealthStatus.DEGRADED,
        cause=f"{path} {what}; {visits} visits and {events} waiting events could be read and were taken over",
        remedy="if this happens again, replace the storage card",
    )
    return Opened(db=db, problems=(problem,))


def rescued_path(path: Path) -> Path:
    """Return where the complete copy of a damaged or deleted database waits for its name."""
    return path.with_name(f"{path.name}.rescued")


def _set_aside(path: Path) -> Path:
    """Rename the database with its -wal and -shm, so that the three stay a set, and return its new path.

    The -wal goes first: left beside another database, it would be played into it.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    damaged = path.with_name(f"{path.name}.corrupt-{stamp}")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(damaged.with_name(damaged.name + suffix))
    return damaged


def _is_sound(path: Path) -> bool:
    """Check the file without writing: a writer would delete the -wal of a file whose head is damaged."""
    try:
        with closing(connect(path, read_only=True).conn) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if damages(error):
            return False
        raise
    return bool(verdict == "ok")


def _prepared(db: Database, max_bytes: int) -> Database:
    try:
        _migrate(db)
        page_size: int = db.execute("PRAGMA page_size").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {max(1, max_bytes // page_size)}").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def migrations() -> tuple[str, ...]:
    """Return the scripts of `schema/`, in order; script N leads to user_version N."""
    folder = resources.files("edged.store") / "schema"
    scripts = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda e: e.name
    )
    return tuple(script.read_text(encoding="utf-8") for script in scripts)


def _migrate(db: Database) -> None:
    scripts = migrations()
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(scripts):
        raise StoreError(
            "",
            f"the database has schema {version}, this edged knows {len(scripts)}",
            "install the newer edged again, or move the database away",
        )
    for number, script in enumerate(scripts[version:], start=version + 1):
        try:
            db.conn.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
        except BaseException:
            if db.conn.in_transaction:
                db.conn.execute("ROLLBACK")
            raise
    # A fresh database continues above anything that a lost one may have used: sequences only grow.
    db.execute(
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'outbox', ?"
        " WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'outbox')",
        [int(datetime.now(UTC).timestamp())],
    )
