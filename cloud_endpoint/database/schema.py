"""The database's schema and its versions (alembic, in `migrations/versions`)."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from cloud_endpoint.base.errors import ConfigError
from cloud_endpoint.database.engine import writing

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6564676564  # any number that is locked for nothing else in this database


def migrate(engine: Engine) -> tuple[str | None, str]:
    """Bring the schema to this version; returns the versions before and after. Safe to run at once twice."""
    with writing(engine) as connection:
        return _upgrade(connection)


def prepare(engine: Engine) -> None:
    """Make an empty or embedded database ready; raises ConfigError for one that must be migrated first.

    A city's PostgreSQL is migrated on purpose, not because some worker was started with a newer version.
    """
    with writing(engine) as connection:
        current, wanted = version_of(connection), head()
        if current == wanted:
            return
        known = {script.revision for script in _scripts().walk_revisions()}
        if current is None or (connection.dialect.name == "sqlite" and current in known):
            _upgrade(connection)
            return
    raise ConfigError(
        f"the database's schema is {current}, this version needs {wanted}: "
        "run edged-cloud migrate, or the newer version that wrote it"
    )


@cache
def head() -> str:
    """Return the schema version that this code needs."""
    found = _scripts().get_current_head()
    assert found is not None  # there is at least one
    return found


def _upgrade(connection: Connection) -> tuple[str | None, str]:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    before = version_of(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return before, head()


def version_of(connection: Connection) -> str | None:
    """Return the schema version of a database; None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
