"""Data that is no longer needed goes: by class and age, and all of a person's on request.

What is deleted is gone from the files too: SQLite overwrites it (`secure_delete`) and empties its log;
on PostgreSQL the tables are vacuumed. Backups are the operator's to rotate.
"""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Table, delete, select, text, update

from cloud_endpoint import audit
from cloud_endpoint.database import writing
from cloud_endpoint.limits import DAY_MS
from cloud_endpoint.settings import RetentionSettings
from cloud_endpoint.tables import (
    audit_heads,
    captures,
    counters,
    events,
    evidence,
    idempotency,
    order_candidates,
    order_events,
    orders,
    payments,
    readings,
    reviews,
    sites,
    visits,
    wanted_pictures,
    webhooks,
)

TECHNICAL_DAYS = 7  # captures, webhooks, counters, idempotency keys
CLOSED_STATES = ("paid", "expired", "cancelled")


@dataclass(slots=True, kw_only=True)
class Gone:
    """How many rows were deleted, or had their plate erased."""

    pictures: int = 0
    plates: int = 0
    orders: int = 0
    visits: int = 0
    audit_lines: int = 0
    technical: int = 0


def run(engine: Engine, keep: RetentionSettings, now_ms: int) -> Gone:
    """Delete what is older than its class is kept."""
    gone = Gone()
    with writing(engine) as connection:
        day = {name: now_ms - days * DAY_MS for name, days in keep.model_dump().items()}
        gone.pictures = _delete(connection, evidence, evidence.c.received_ms < day["pictures_days"])
        gone.plates = _erase_old_plates(connection, day["plates_days"])
        gone.orders = _delete_orders(
            connection, (orders.c.created_ms < day["orders_days"]) & orders.c.state.in_(CLOSED_STATES)
        )
        old = (visits.c.seen_ms < day["visits_days"]) & visits.c.ended_ms.is_not(None)
        gone.visits = _delete(connection, visits, old)
        _delete(connection, readings, readings.c.received_ms < day["visits_days"])
        _delete(connection, events, events.c.received_ms < day["visits_days"])
        technical_ms = now_ms - TECHNICAL_DAYS * DAY_MS
        for table, column in (
            (captures, captures.c.created_ms),
            (webhooks, webhooks.c.created_ms),
            (counters, counters.c.window_ms),
            (idempotency, idempotency.c.created_ms),
        ):
            gone.technical += _delete(connection, table, column < technical_ms)
        for site_id in connection.execute(select(audit_heads.c.site_id)).scalars().all():
            gone.audit_lines += audit.prune(connection, site_id, day["audit_days"])
        for site_id in connection.execute(select(sites.c.site_id)).scalars().all():
            audit.append(
                connection,
                site_id,
                actor="cli",
                action="retention",
                subject="all",
                now_ms=now_ms,
                **asdict(gone),
            )
    _forget_on_disk(engine)
    return gone


def forget(
    engine: Engine, site_id: str, now_ms: int, *, plate: str | None = None, account_id: str | None = None
) -> Gone:
    """Delete a person's data at a site: all of a normalised plate's, or of an account's orders."""
    gone = Gone()
    with writing(engine) as connection:
        if plate is not None:
            _forget_plate(connection, site_id, plate, gone)
        if account_id is not None:
            own = (orders.c.site_id == site_id) & (orders.c.account_id == account_id)
            gone.orders += _delete_orders(connection, own)
            _delete(connection, counters, (counters.c.site_id == site_id) & (counters.c.name == account_id))
        audit.append(
            connection,
            site_id,
            actor="cli",
            action="forgotten_on_request",
            subject="plate" if plate else "account",  # never whose
            now_ms=now_ms,
            **asdict(gone),
        )
    _forget_on_disk(engine)
    return gone


def _forget_plate(connection: Connection, site_id: str, plate: str, gone: Gone) -> None:
    r, v = readings.c, visits.c
    own_readings = (r.site_id == site_id) & (r.plate == plate)
    seen = select(r.evidence_sha256).where(own_readings, r.evidence_sha256.is_not(None))
    pictures = set(connection.execute(seen).scalars())
    own_reviews = (reviews.c.site_id == site_id) & (
        (reviews.c.read_plate == plate)
        | (reviews.c.ordered_plate == plate)
        | (reviews.c.operator_plate == plate)
    )
    of_reviews = select(reviews.c.evidence_sha256).where(own_reviews)
    pictures |= set(connection.execute(of_reviews).scalars()) - {None}
    for table in (evidence, wanted_pictures):
        gone.pictures += _delete(
            connection, table, (table.c.site_id == site_id) & table.c.sha256.in_(pictures)
        )
    gone.plates += _delete(connection, readings, own_readings)
    erased = {
        "plate": None,
        "plate_kind": None,
        "characters": None,
        "evidence_sha256": None,
        "accepted": False,
    }
    own_visits = (v.site_id == site_id) & (v.plate == plate)
    gone.plates += connection.execute(update(visits).where(own_visits).values(erased)).rowcount
    gone.plates += _delete(connection, reviews, own_reviews)
    gone.orders += _delete_orders(connection, (orders.c.site_id == site_id) & (orders.c.plate == plate))


def _erase_old_plates(connection: Connection, before_ms: int) -> int:
    r, v, w = readings.c, visits.c, reviews.c
    count = 0
    for table, old in (
        (readings, (r.received_ms < before_ms) & r.plate.is_not(None)),
        (visits, (v.seen_ms < before_ms) & v.plate.is_not(None)),
        (orders, (orders.c.created_ms < before_ms) & orders.c.plate.is_not(None)),
    ):
        values: dict[str, Any] = {"plate": None}
        if table is orders:
            old &= orders.c.state.in_(CLOSED_STATES)
        else:
            values["characters"] = None
        count += connection.execute(update(table).where(old).values(values)).rowcount
    old_reviews = (w.opened_ms < before_ms) & w.decision.is_not(None)
    plates = {"read_plate": None, "ordered_plate": None, "operator_plate": None}
    count += connection.execute(update(reviews).where(old_reviews).values(plates)).rowcount
    return count


def _delete_orders(connection: Connection, which: ColumnElement[bool]) -> int:
    """Delete orders with all that hangs on them."""
    found = connection.execute(select(orders.c.site_id, orders.c.order_id).where(which)).all()
    by_site: dict[str, list[str]] = {}
    for site_id, order_id in found:
        by_site.setdefault(site_id, []).append(order_id)
    for site_id, ids in by_site.items():
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            for table in (order_events, order_candidates, captures, webhooks, payments, reviews, orders):
                _delete(connection, table, (table.c.site_id == site_id) & table.c.order_id.in_(part))
    return len(found)


def _delete(connection: Connection, table: Table, which: ColumnElement[bool]) -> int:
    return connection.execute(delete(table).where(which)).rowcount


def _forget_on_disk(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            connection.execute(text("VACUUM readings, visits, orders, reviews, evidence, webhooks"))
