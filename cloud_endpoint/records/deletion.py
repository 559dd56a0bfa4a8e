"""Deleting, so that it is gone: rows with all that hangs on them, and what the files keep of them.

On SQLite what is deleted is gone from the file too: it is overwritten (`secure_delete`) and the log is
emptied. PostgreSQL is vacuumed: nothing can be read any more, and the space is used again; its log files and
all backups are the operator's to rotate.
"""

import logging
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, Table, delete, select, text

from cloud_endpoint.database.tables import (
    captures,
    holds,
    metadata,
    order_candidates,
    order_events,
    orders,
    payments,
    reviews,
    webhooks,
)

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Gone:
    """How many rows were deleted, or had their plate erased."""

    pictures: int = 0
    plates: int = 0
    orders: int = 0
    visits: int = 0
    audit_lines: int = 0
    technical: int = 0


_OF_ORDERS = (order_events, order_candidates, captures, webhooks, payments, reviews, holds, orders)


def delete_orders(connection: Connection, which: ColumnElement[bool], most: int | None = None) -> int:
    """Delete orders with all that hangs on them."""
    query = select(orders.c.site_id, orders.c.order_id).where(which).limit(most)
    # Locked: no other transaction adds to the history of an order that is deleted, or opens a review.
    query = query.order_by(orders.c.site_id, orders.c.order_id).with_for_update()
    found = connection.execute(query).all()
    by_site: dict[str, list[str]] = {}
    for site_id, order_id in found:
        by_site.setdefault(site_id, []).append(order_id)
    for site_id, ids in by_site.items():
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            for table in _OF_ORDERS:
                delete_rows(connection, table, (table.c.site_id == site_id) & table.c.order_id.in_(part))
    return len(found)


def delete_rows(connection: Connection, table: Table, which: ColumnElement[bool]) -> int:
    """Delete rows; returns how many."""
    return connection.execute(delete(table).where(which)).rowcount


def wipe(engine: Engine) -> None:
    """Remove deleted rows from the files, too; on PostgreSQL they only become unreadable."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar_one()
            if busy:
                log.warning("somebody reads the database: what was deleted leaves its log at the next run")
        else:
            connection.execute(text(f"VACUUM {', '.join(metadata.tables)}"))
