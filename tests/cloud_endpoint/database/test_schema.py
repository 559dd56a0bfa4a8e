"""The migrations make exactly the tables that the code uses, on both databases."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from cloud_endpoint.base.errors import ConfigError
from cloud_endpoint.database.engine import open_engine, reading, writing
from cloud_endpoint.database.schema import head, migrate, prepare
from cloud_endpoint.database.tables import PARTITIONS, metadata

PARTITION_NAMES = {f"{name}_{number}" for name in metadata.tables for number in range(PARTITIONS)}


def test_the_migrated_schema_is_the_one_the_code_uses(database_url: str) -> None:
    engine = open_engine(database_url)
    with reading(engine) as connection:
        context = MigrationContext.configure(
            connection,
            opts={"include_name": lambda name, type_, _: not (type_ == "table" and name in PARTITION_NAMES)},
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_every_table_that_grows_with_the_city_is_keyed_and_partitioned_by_site(database_url: str) -> None:
    small = {"sites", "devices", "enrolment_codes", "credentials", "audit_heads"}
    for name, table in metadata.tables.items():
        if name not in small:
            assert next(iter(table.primary_key.columns)).name == "site_id", name
    if database_url.startswith("postgresql"):
        engine = open_engine(database_url)
        with reading(engine) as connection:
            query = text("SELECT relname FROM pg_class WHERE relkind = 'p'")
            assert set(connection.execute(query).scalars()) == set(metadata.tables) - small
        engine.dispose()


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    engine = open_engine(database_url)
    assert migrate(engine) == (head(), head())
    engine.dispose()


def test_an_embedded_database_is_made_ready_and_a_foreign_one_is_refused(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/cloud.db")
    prepare(engine)
    prepare(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="9999"):
        prepare(engine)
    engine.dispose()
    with pytest.raises(ConfigError, match=r"database\.url"):
        open_engine("mysql://somewhere")
