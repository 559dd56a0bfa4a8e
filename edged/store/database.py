"""Opening the database: pragmas, migrations, and a damaged file set aside and salvaged."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from edged.domain.health import Finding, HealthStatus
from edged.store.errors import StoreError
from edged.store.evidence import sync_directory
from edged.store.records import unpacked

FILE_NAME = "edged.db"
BUSY_TIMEOUT_MS = 5000
# A commit writes whole pages: small ones wear the SD card less (docs/decisions/0051).
PAGE_SIZE_BYTES = 1024
# How far the WAL grows before its pages, each once, are copied into the database.
CHECKPOINT_PAGES = 4096
# Bounds the -wal file left behind by a long transaction.
JOURNAL_LIMIT_BYTES = 8 * 1024 * 1024
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


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


def changed(cursor: sqlite3.Cursor) -> int:
    """Return how many rows the statement changed (the driver says -1 for none of its business)."""
    return max(0, int(cursor.rowcount))


def open_database(path: Path, *, max_bytes: int) -> Opened:
    """Return the database at `path`, made or migrated; a damaged one is replaced by what can be read of it.

    A power cut on the way loses nothing: the replacement is complete before the damaged file moves.
    Raises sqlite3.Error or OSError when even a fresh file cannot be made.
    """
    rescued = path.with_name(f"{path.name}.rescued")
    if not rescued.exists() and path.exists() and not _is_sound(path):
        _rescue(path, rescued, max_bytes)
    if not rescued.exists():
        return Opened(db=_prepared(connect(path), max_bytes), problems=())
    damaged = _set_aside(path)
    rescued.rename(path)
    sync_directory(path.parent)
    db = _prepared(connect(path), max_bytes)
    visits, events = (db.table(name).count for name in ("visit", "outbox"))
    problem = Finding(
        where="store",
        status=HealthStatus.DEGRADED,
        cause=f"{path} was damaged and is kept as {damaged.name}; "
        f"{visits} visits and {events} waiting events could be read and were taken over",
        remedy="if this happens again, replace the storage card",
    )
    return Opened(db=db, problems=(problem,))


def _rescue(path: Path, rescued: Path, max_bytes: int) -> None:
    """Make `rescued` of what can be read at `path`; it gets its name once it is complete."""
    part = path.with_name(f"{path.name}.part")
    for suffix in ("", "-wal", "-shm"):
        part.with_name(part.name + suffix).unlink(missing_ok=True)
    db = _prepared(connect(part), max_bytes)
    try:
        _salvage(path, db)
    finally:
        db.close()  # moves the WAL into the file
    part.rename(rescued)
    sync_directory(path.parent)


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
        if _is_damage(error):
            return False
        raise
    return bool(verdict == "ok")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGED


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


def _salvage(damaged: Path, db: Database) -> None:
    """Copy every readable, sound row of `damaged`."""
    source = sqlite3.connect(f"{damaged.absolute().as_uri()}?mode=ro", uri=True)
    with closing(source), db.atomic():
        source.row_factory = sqlite3.Row
        for table in db.table_names():
            if table.startswith("sqlite_"):
                continue
            known = {column.name for column in db[table].columns}
            for row in _readable_rows(source, table):
                values = {key: row[key] for key in row.keys() if key in known}  # noqa: SIM118 (sqlite3.Row)
                if _is_sound_row(values):
                    _insert(db, table, values)


def _readable_rows(source: sqlite3.Connection, table: str) -> Iterator[sqlite3.Row]:
    """Yield rows from both ends, so that one damaged page in the middle costs that page only."""
    for direction in ("ASC", "DESC"):
        try:
            # the first column is the key of every table
            yield from source.execute(f"SELECT * FROM {table} ORDER BY 1 {direction}")
        except sqlite3.Error:
            continue
        else:
            return


def _is_sound_row(values: dict[str, Any]) -> bool:
    try:
        for key, value in values.items():
            if key.endswith("stamp") and value is not None:
                unpacked(value)
            elif key in ("body", "characters"):
                json.loads(value)
    except (ValueError, TypeError):
        return False
    return True


def _insert(db: Database, table: str, values: dict[str, Any]) -> None:
    names = ", ".join(values)
    places = ", ".join("?" * len(values))
    # OR IGNORE: met from both ends, or a garbled row that no longer satisfies the schema
    db.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({places})", list(values.values()))
