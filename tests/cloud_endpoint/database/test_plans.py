"""On PostgreSQL a statement is planned once for a connection, whatever becomes of the transactions."""

import pytest
from sqlalchemy import select, text

from cloud_endpoint.base.errors import ConfigError, DatabaseUnavailable
from cloud_endpoint.database.engine import open_engine, reading, writing
from cloud_endpoint.database.schema import migrate
from cloud_endpoint.database.tables import sites

PREPARED = text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT sites.site_id%'")


def test_plans_outlive_reads_and_refusals_and_a_refused_change_is_undone(postgres_url: str) -> None:
    engine = open_engine(postgres_url, pool_size=1)
    row = {"site_id": "undone", "name": "x", "time_zone": "UTC"}

    def refused() -> None:
        with writing(engine) as connection:
            connection.execute(sites.insert().values(row))
            raise ConfigError("no")

    def failing() -> None:
        with writing(engine) as connection:
            connection.execute(sites.insert().values(row))
            connection.execute(sites.insert().values(row))

    try:
        migrate(engine)
        with reading(engine) as connection:
            connection.execute(select(sites.c.site_id)).all()
        with pytest.raises(ConfigError):
            refused()
        with pytest.raises(DatabaseUnavailable):
            failing()
        with reading(engine) as connection:
            assert connection.execute(PREPARED).scalar_one() == 1
            undone = connection.execute(select(sites.c.site_id).where(sites.c.site_id == "undone"))
            assert undone.all() == []
    finally:
        engine.dispose()
