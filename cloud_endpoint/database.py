"""The database: SQLite embedded by default, PostgreSQL for a city. Driver errors are translated here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError

from cloud_endpoint.errors import ConfigError, DatabaseUnavailable

BUSY_TIMEOUT_MS = 10_000
# deadlock, serialization failure, shutdown: the transaction was rolled back and may be sent again
RETRYABLE_SQLSTATES = frozenset({"40001", "40P01", "57P01", "57P02", "57P03", "55P03"})


def open_engine(url: str, pool_size: int = 10) -> Engine:
    """Return an engine; nothing is connected yet. Raises ConfigError for a URL of another database."""
    if url.startswith("sqlite:///"):
        engine = create_engine(url, pool_size=pool_size, max_overflow=40, pool_timeout=30)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if url.startswith("postgresql+psycopg://"):
        return create_engine(url, pool_size=pool_size, max_overflow=40, pool_timeout=30)
    raise ConfigError(
        f"database.url: got {url!r}; use sqlite:////path/cloud.db or postgresql+psycopg://user@host/name"
    )


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
def _translated() -> Iterator[None]:
    try:
        yield
    except TimeoutError as exc:  # SQLAlchemy's own: no connection came free
        raise DatabaseUnavailable(f"database busy: {exc}") from exc
    except (OperationalError, InterfaceError) as exc:
        raise DatabaseUnavailable(f"database not available: {exc.orig}") from exc
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
