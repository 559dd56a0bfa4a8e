"""The database: SQLite embedded by default, PostgreSQL for a city. Driver errors are translated here."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from http import HTTPStatus
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, Table, TextClause, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError, TimeoutError

from cloud_endpoint.base.errors import ConfigError, DatabaseUnavailable, Problem

BUSY_TIMEOUT_MS = 10_000
# Queries find rows by key: planning one anew for each value, over all partitions, costs more than running it.
POSTGRES_OPTIONS = "-c plan_cache_mode=force_generic_plan -c jit=off"
# Deadlock, serialization failure, shutdown, a row that another worker inserted meanwhile: the transaction
# was rolled back and may be sent again.
RETRYABLE_SQLSTATES = frozenset({"40001", "40P01", "57P01", "57P02", "57P03", "55P03", "23505"})


def open_engine(url: str, pool_size: int = 10) -> Engine:
    """Return an engine; nothing is connected yet. Raises ConfigError for a URL of another database."""
    if url.startswith("sqlite:///"):
        engine = create_engine(url, pool_size=pool_size, max_overflow=40, pool_timeout=30)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if url.startswith("postgresql+psycopg://"):
        arguments = {"options": POSTGRES_OPTIONS, "prepare_threshold": 0}
        # A new connection must plan all statements before it is any good (0045): none is made for a burst and
        # thrown away after it, and of those that are there as few are used as will do.
        engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=30,
            pool_use_lifo=True,
            connect_args=arguments,
        )
        event.listen(engine, "rollback", _roll_back_keeping_plans)
        return engine
    raise ConfigError(
        f"database.url: got {url!r}; use sqlite:////path/cloud.db or postgresql+psycopg://user@host/name"
    )


def _roll_back_keeping_plans(connection: Connection) -> None:
    """Roll back before psycopg does, which would forget all prepared statements, and with them their plans.

    It does so because tables may have been made in the transaction; ours are only changed by migrations.
    Each read ends with a rollback, and each refusal.
    """
    if connection.invalidated:  # the database is gone, and the transaction with it
        return
    pgconn = connection.connection.driver_connection.pgconn  # type: ignore[union-attr]
    if pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
        with suppress(psycopg.Error):  # the line is broken: psycopg notices too
            pgconn.exec_(b"ROLLBACK")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # `accepted` means durable
        "secure_delete=ON",  # deleted plates are overwritten, not just unlinked
        f"busy_timeout={BUSY_TIMEOUT_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return
    reading = options.get("reading", False)
    # A transaction that turns writer half-way fails at once when another writes: take the lock first.
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Run one transaction that commits at the end; raises DatabaseUnavailable."""
    with _translated(), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Run one transaction that only reads; raises DatabaseUnavailable."""
    with _translated(), engine.connect().execution_options(reading=True) as connection:
        yield connection


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Run a part of a transaction that can fail alone; its error is translated and raised."""
    with _translated(), connection.begin_nested():
        yield


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except TimeoutError as exc:  # SQLAlchemy's own: no connection came free
        raise DatabaseUnavailable(f"database busy: {exc}") from exc
    except (OperationalError, InterfaceError) as exc:
        raise DatabaseUnavailable(f"database not available: {exc.orig}") from exc
    except (DataError, UnicodeEncodeError, OverflowError) as exc:
        # Beyond what was validated: a NUL or half a surrogate pair in a text, a number of more bits.
        raise Problem(
            "value-refused",
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "a value is outside what the database takes",
            field="body",
            remedy="send shorter texts, without NUL and lone surrogates, and numbers below 2^63",
        ) from exc
    except DBAPIError as exc:
        if getattr(exc.orig, "sqlstate", None) in RETRYABLE_SQLSTATES or exc.connection_invalidated:
            raise DatabaseUnavailable(f"database not available: {exc.orig}") from exc
        raise


def insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return the dialect's INSERT, which knows ON CONFLICT."""
    return insert_of(connection.dialect.name, table)


def insert_of(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return the INSERT of a dialect by name, for statements that are built once."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def insert_all(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    skipping: bool = False,
    replacing: tuple[str, ...] = (),
    returning: str | None = None,
) -> list[Any]:
    """Insert rows of the same columns in one go; returns the column `returning` of those that were written.

    A row that is there already is an error, or is left as it is (`skipping`), or takes these columns of
    the new one (`replacing`); then no two of the rows may have the same key.
    """
    if not rows:
        return []
    if connection.dialect.name == "postgresql":
        statement = _insert_as_json(table, tuple(rows[0]), skipping, replacing, returning)
        result = connection.execute(statement, {"rows": json.dumps(rows, ensure_ascii=False)})
        return list(result.scalars()) if returning else []
    written = insert(connection, table)
    if replacing:
        written = written.on_conflict_do_update(
            index_elements=list(table.primary_key.columns),
            set_={name: written.excluded[name] for name in replacing},
        )
    elif skipping:
        written = written.on_conflict_do_nothing()
    if returning is None:
        connection.execute(written, list(rows))
        return []
    return list(connection.execute(written.returning(table.c[returning]), list(rows)).scalars())


@cache
def _insert_as_json(
    table: Table, columns: tuple[str, ...], skipping: bool, replacing: tuple[str, ...], returning: str | None
) -> TextClause:
    """Return one statement for any number of rows: it is prepared once, and sent in one round trip."""
    names = ", ".join(columns)
    key = ", ".join(table.primary_key.columns.keys())
    then = f"ON CONFLICT ({key}) DO NOTHING" if skipping else ""
    if replacing:
        changes = ", ".join(f"{name} = excluded.{name}" for name in replacing)
        then = f"ON CONFLICT ({key}) DO UPDATE SET {changes}"
    answering = f"RETURNING {returning}" if returning else ""
    return text(
        f"INSERT INTO {table.name} ({names})"
        f" SELECT {names} FROM json_populate_recordset(NULL::{table.name}, CAST(:rows AS json))"
        f" {then} {answering}"
    )


def padded(values: Iterable[str]) -> list[str]:
    """Return the values for an IN list, the last repeated up to a power of two: few lengths, few plans."""
    wanted = sorted(values)
    length = 1 << max(0, len(wanted) - 1).bit_length()
    return wanted + wanted[-1:] * (length - len(wanted))
