"""Orders that come due together are looked at in an order of locks that no other transaction crosses."""

import pytest
from cloud_street import SITE, Street, reviewed, rows
from sqlalchemy import insert, text

from cloud_endpoint.database.engine import reading, writing
from cloud_endpoint.database.tables import berths, orders, reviews, visits
from cloud_endpoint.records import audit
from tests.waiting import until

ANNEX = "the-annex"  # after SITE by name


def _copy_to_annex(street: Street) -> None:
    """Bring the same order in review to a second site, due before the first."""
    with writing(street.cloud.engine) as connection:
        for table in (berths, visits, reviews, orders):
            for row in rows(street, table):
                earlier = {"due_ms": row["due_ms"] - 1} if table is orders else {}
                connection.execute(insert(table).values(row | {"site_id": ANNEX} | earlier))


def test_two_workers_that_end_reviews_of_two_sites_do_not_wait_for_each_other(
    street: Street, caplog: pytest.LogCaptureFixture
) -> None:
    if street.cloud.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    reviewed(street)
    _copy_to_annex(street)
    line = {"actor": "other worker", "action": "review_expired", "subject": "x", "now_ms": 0}

    with writing(street.cloud.engine) as connection:
        audit.append(connection, SITE, **line)
        street.clock.advance(street.cloud.settings.orders.review_s + 1)
        until(lambda: _somebody_waits(street), "the look waits for this transaction")
        audit.append(connection, ANNEX, **line)

    until(lambda: {row["state"] for row in rows(street, orders)} == {"expired"})
    assert "deadlock" not in caplog.text


def _somebody_waits(street: Street) -> bool:
    with reading(street.cloud.engine) as connection:
        return connection.execute(text("SELECT 1 FROM pg_locks WHERE NOT granted")).first() is not None
