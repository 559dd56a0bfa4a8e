"""A new database made of what can be read of a damaged one; what was done is kept when power fails.

The copy is `edged.db.part` while it grows and `edged.db.rescued` once it is complete.
"""

import json
import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from edged.store import recording
from edged.store.errors import damages
from edged.store.evidence import sync_directory
from edged.store.records import unpacked, view_of
from edged.wire import DriveCause

# Rows copied in one transaction: one sync for them all, and at most so many are copied twice.
_BATCH_ROWS = 500
# Where the copy stands. `source` tells which file it is a copy of; `done` is 1 for a table that is complete.
_PROGRESS = """
CREATE TABLE IF NOT EXISTS salvage_source (source TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS salvage_progress (name TEXT PRIMARY KEY, last_key, done INTEGER NOT NULL);
"""
_QUEUED = "events queued again"
_PROGRESS_TABLES = ("salvage_source", "salvage_progress")

Progress = Callable[[], None]


def rescue(path: Path, rescued: Path, make: Callable[[Path], Database], progress: Progress) -> None:
    """Make `rescued` of what can be read at `path`; it gets its name once it is complete.

    A copy that was interrupted is continued. `make` opens or makes a database of today's schema. `progress`
    is called after each step and may raise to interrupt.
    """
    part = path.with_name(f"{path.name}.part")
    db = _continued(part, path, make) or _begun(part, path, make)
    try:
        _copy_tables(path, db, progress)
        _queue_all_again(db, progress)
        with db.atomic():
            for table in _PROGRESS_TABLES:
                db.execute(f"DROP TABLE {table}")
    finally:
        db.close()  # moves the WAL into the file
    part.rename(rescued)
    sync_directory(path.parent)


def rescue_open(db: Database, path: Path, rescued: Path) -> None:
    """Make `rescued` of a database that is open although its file at `path` was deleted."""
    part = path.with_name(f"{path.name}.part")
    _remove(part)
    with closing(sqlite3.connect(part)) as copy:
        db.conn.backup(copy)
    part.rename(rescued)
    sync_directory(path.parent)


def _begun(part: Path, path: Path, make: Callable[[Path], Database]) -> Database:
    _remove(part)
    db = make(part)
    db.conn.executescript(_PROGRESS)
    db.execute("INSERT INTO salvage_source VALUES (?)", [_identity(path)])
    return db


def _continued(part: Path, path: Path, make: Callable[[Path], Database]) -> Database | None:
    """Return the copy that an earlier try has begun of the same file, None when there is none."""
    if not part.exists():
        return None
    try:
        db = make(part)
    except sqlite3.DatabaseError:
        return None
    try:
        source = db.execute("SELECT source FROM salvage_source").fetchone()
        sound = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError:
        source = sound = None
    if source == (_identity(path),) and sound == ("ok",):
        return db
    db.close()
    return None


def _identity(path: Path) -> str:
    """Return what tells one damaged file from another, its WAL included."""
    files = (path, path.with_name(f"{path.name}-wal"))
    states = [file.stat() if file.exists() else None for file in files]
    return json.dumps([[state.st_ino, state.st_size, state.st_mtime_ns] for state in states if state])


def _remove(part: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        part.with_name(part.name + suffix).unlink(missing_ok=True)


def _copy_tables(damaged: Path, db: Database, progress: Progress) -> None:
    source = sqlite3.connect(f"{damaged.absolute().as_uri()}?mode=ro", uri=True)
    source.text_factory = lambda text: text.decode(errors="replace")  # one garbled text must not end a pass
    with closing(source):
        source.row_factory = sqlite3.Row
        for table in db.table_names():
            if not table.startswith("sqlite_") and table not in _PROGRESS_TABLES:
                _copy_table(source, db, table, progress)


def _queue_all_again(db: Database, progress: Progress) -> None:
    """Queue the events of all visits that were copied; the last visit done is noted like a table's key."""
    row = db.execute("SELECT last_key FROM salvage_progress WHERE name = ?", [_QUEUED]).fetchone()
    last_id: int | None = row[0] if row else 0
    while last_id is not None:
        with db.atomic():
            last_id = recording.queue_again(db, last_id, _BATCH_ROWS)
            if last_id is not None:
                _note(db, _QUEUED, last_id, done=0)
        progress()


def _copy_table(source: sqlite3.Connection, db: Database, table: str, progress: Progress) -> None:
    """Copy from both ends, so that one damaged page in the middle costs that page only.

    The first column is the key of every table.
    """
    names = [column.name for column in db[table].columns]
    key = names[0]
    row = db.execute("SELECT last_key, done FROM salvage_progress WHERE name = ?", [table]).fetchone()
    last_key, done = row or (None, 0)
    if done:
        return
    forward = f"SELECT * FROM {table} WHERE ? IS NULL OR {key} > ? ORDER BY {key}"
    with closing(_readable(source, forward, [last_key, last_key])) as rows:
        is_whole = _copy_rows(rows, db, table, key, names, progress)
    if not is_whole:
        with closing(_readable(source, f"SELECT * FROM {table} ORDER BY {key} DESC", [])) as rows:
            _copy_rows(rows, db, table, None, names, progress)
    with db.atomic():
        _note(db, table, last_key, done=1)


def _copy_rows(
    rows: Iterator[sqlite3.Row | None],
    db: Database,
    table: str,
    key: str | None,
    names: list[str],
    progress: Progress,
) -> bool:
    """Insert the sound ones of `rows`; return False when a None says that the rest cannot be read.

    `key` is the column by which the pass can be continued, None where it cannot.
    """
    while batch := list(islice(rows, _BATCH_ROWS)):
        found = [row for row in batch if row is not None]
        with db.atomic():
            for row in found:
                values = {name: row[name] for name in row.keys() if name in names}  # noqa: SIM118 (sqlite3.Row)
                if _is_sound(values):
                    _insert(db, table, values)
            if key is not None and found:
                _note(db, table, found[-1][key], done=0)
        progress()
        if len(found) < len(batch):
            return False
    return True


def _readable(
    source: sqlite3.Connection, sql: str, arguments: list[Any]
) -> Generator[sqlite3.Row | None, None, None]:
    """Yield rows as long as they can be read; None in place of the rest."""
    try:
        yield from source.execute(sql, arguments)
    except sqlite3.Error as error:
        if not damages(error) and not isinstance(error, sqlite3.OperationalError):
            raise
        yield None


def _note(db: Database, table: str, last_key: object, *, done: int) -> None:
    db.execute("INSERT OR REPLACE INTO salvage_progress VALUES (?, ?, ?)", [table, last_key, done])


def _is_sound(values: dict[str, Any]) -> bool:
    """Tell whether the row can be used: a damaged page may hold anything."""
    try:
        for name, value in values.items():
            if value is None:
                continue
            if name.endswith("stamp"):
                unpacked(value)
            elif name == "body":
                dict(json.loads(value))
            elif name == "characters":
                view_of(values)
            elif name.endswith("_cause"):
                DriveCause(value)
    except (ValueError, TypeError, KeyError):
        return False
    return True


def _insert(db: Database, table: str, values: dict[str, Any]) -> None:
    names = ", ".join(values)
    places = ", ".join("?" * len(values))
    # OR IGNORE: met from both ends, or a garbled row that no longer satisfies the schema
    db.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({places})", list(values.values()))
