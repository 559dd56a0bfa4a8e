"""Data that is no longer needed goes: by class and age, and all of a person's on request.

On SQLite what is deleted is gone from the file too: it is overwritten (`secure_delete`) and the log is
emptied. PostgreSQL is vacuumed: nothing can be read any more, and the space is used again; its log files and
all backups are the operator's to rotate.

Deleting goes in steps, so that nobody who orders meanwhile waits for all of it.
"""

import logging
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    text,
    tuple_,
    update,
)

from cloud_endpoint import audit
from cloud_endpoint.database import reading, writing
from cloud_endpoint.errors import ConfigError
from cloud_endpoint.limits import DAY_MS
from cloud_endpoint.settings import RetentionSettings
from cloud_endpoint.tables import audit as audit_lines
from cloud_endpoint.tables import (
    audit_heads,
    captures,
    counters,
    enrolment_codes,
    events,
    evidence,
    holds,
    idempotency,
    metadata,
    order_candidates,
    order_events,
    orders,
    outages,
    payments,
    readings,
    reviews,
    sites,
    visits,
    wanted_pictures,
    webhooks,
)

log = logging.getLogger(__name__)

TECHNICAL_DAYS = 7  # captures, webhooks, counters, idempotency keys, codes
STEP_ROWS = 2000
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Rows of a class whose time is over; deleted, or `erased`: set to these values."""

    name: str  # a field of Gone
    table: Table
    over: ColumnElement[bool]
    erased: dict[str, None] | None = None


def rules(keep: RetentionSettings, now_ms: int) -> list[Rule]:
    """Return what goes now; orders and audit lines, which hang together, are not here."""
    day = {name: now_ms - days * DAY_MS for name, days in keep.model_dump().items()}
    technical_ms = now_ms - TECHNICAL_DAYS * DAY_MS
    r, v, w, wanted = readings.c, visits.c, reviews.c, wanted_pictures.c
    later = visits.alias("later")
    superseded = exists().where(
        later.c.site_id == v.site_id, later.c.berth_id == v.berth_id, later.c.seen_ms > v.seen_ms
    )
    needed = exists().where(
        w.site_id == wanted.site_id,
        w.evidence_sha256 == wanted.sha256,
        w.decision.is_(None),
        w.opened_ms >= day["pictures_days"],
    )
    kept_ms, plates_ms = day["visits_days"], day["plates_days"]
    plate = {"plate": None, "characters": None}
    found = [
        Rule(name="pictures", table=evidence, over=evidence.c.received_ms < day["pictures_days"]),
        Rule(name="technical", table=wanted_pictures, over=~needed),
        Rule(
            name="visits",
            table=visits,
            over=and_(v.seen_ms < kept_ms, or_(v.ended_ms.is_not(None), superseded)),
        ),
        Rule(
            name="plates",
            table=readings,
            over=(r.received_ms < plates_ms) & r.plate.is_not(None),
            erased=plate,
        ),
        Rule(name="plates", table=visits, over=(v.seen_ms < plates_ms) & v.plate.is_not(None), erased=plate),
        Rule(
            name="plates",
            table=orders,
            over=and_(
                orders.c.created_ms < plates_ms,
                orders.c.plate.is_not(None),
                orders.c.state.in_(CLOSED_STATES),
            ),
            erased={"plate": None},
        ),
        Rule(
            name="plates",
            table=reviews,
            over=and_(
                w.opened_ms < plates_ms,
                w.decision.is_not(None),
                or_(w.read_plate.is_not(None), w.ordered_plate.is_not(None), w.operator_plate.is_not(None)),
            ),
            erased={"read_plate": None, "ordered_plate": None, "operator_plate": None},
        ),
    ]
    for table, column, before_ms in (
        (readings, r.received_ms, kept_ms),
        (events, events.c.received_ms, kept_ms),
        (outages, outages.c.restored_ms, kept_ms),
        (captures, captures.c.created_ms, technical_ms),
        (webhooks, webhooks.c.created_ms, technical_ms),
        (counters, counters.c.window_ms, technical_ms),
        (idempotency, idempotency.c.created_ms, technical_ms),
        (enrolment_codes, enrolment_codes.c.expires_ms, technical_ms),
    ):
        found.append(Rule(name="technical", table=table, over=column < before_ms))
    return found


def _old_orders(keep: RetentionSettings, now_ms: int) -> ColumnElement[bool]:
    before_ms = now_ms - keep.orders_days * DAY_MS
    return (orders.c.created_ms < before_ms) & orders.c.state.in_(CLOSED_STATES)


def count(engine: Engine, keep: RetentionSettings, now_ms: int) -> Gone:
    """Return what `run` would do now, and do nothing."""
    gone = Gone()
    with reading(engine) as connection:
        for rule in rules(keep, now_ms):
            rows = connection.execute(select(func.count()).select_from(rule.table).where(rule.over))
            setattr(gone, rule.name, getattr(gone, rule.name) + rows.scalar_one())
        old = select(func.count()).select_from(orders).where(_old_orders(keep, now_ms))
        gone.orders = connection.execute(old).scalar_one()
        before_ms = now_ms - keep.audit_days * DAY_MS
        lines = select(func.count()).select_from(audit_lines).where(audit_lines.c.at_ms < before_ms)
        gone.audit_lines = connection.execute(lines).scalar_one()
    return gone


def run(engine: Engine, keep: RetentionSettings, now_ms: int) -> Gone:
    """Delete what is older than its class is kept."""
    gone = Gone()
    for rule in rules(keep, now_ms):
        setattr(gone, rule.name, getattr(gone, rule.name) + _apply(engine, rule))
    while True:
        with writing(engine) as connection:
            found = _delete_orders(connection, _old_orders(keep, now_ms), most=STEP_ROWS)
        gone.orders += found
        if found < STEP_ROWS:
            break
    with writing(engine) as connection:
        for site_id in connection.execute(select(audit_heads.c.site_id)).scalars().all():
            gone.audit_lines += audit.prune(connection, site_id, now_ms - keep.audit_days * DAY_MS)
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


def _apply(engine: Engine, rule: Rule) -> int:
    key = tuple_(*rule.table.primary_key.columns)
    some = select(*rule.table.primary_key.columns).where(rule.over).limit(STEP_ROWS)
    total = 0
    while True:
        statement: Any = delete(rule.table) if rule.erased is None else update(rule.table).values(rule.erased)
        with writing(engine) as connection:
            done = connection.execute(statement.where(key.in_(some))).rowcount
        total += done
        if done < STEP_ROWS:
            return int(total)


def forget(
    engine: Engine, site_id: str, now_ms: int, *, plate: str | None = None, account_id: str | None = None
) -> Gone:
    """Delete a person's data at a site: all of a normalised plate's, or of an account's orders."""
    gone = Gone()
    with writing(engine) as connection:
        if connection.execute(select(sites.c.site_id).where(sites.c.site_id == site_id)).first() is None:
            raise ConfigError(f"unknown site {site_id!r}; nothing was deleted")
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


_OF_ORDERS = (order_events, order_candidates, captures, webhooks, payments, reviews, holds, orders)


def _delete_orders(connection: Connection, which: ColumnElement[bool], most: int | None = None) -> int:
    """Delete orders with all that hangs on them."""
    query = select(orders.c.site_id, orders.c.order_id).where(which).limit(most)
    found = connection.execute(query).all()
    by_site: dict[str, list[str]] = {}
    for site_id, order_id in found:
        by_site.setdefault(site_id, []).append(order_id)
    for site_id, ids in by_site.items():
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            for table in _OF_ORDERS:
                _delete(connection, table, (table.c.site_id == site_id) & table.c.order_id.in_(part))
    return len(found)


def _delete(connection: Connection, table: Table, which: ColumnElement[bool]) -> int:
    return connection.execute(delete(table).where(which)).rowcount


def _forget_on_disk(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar_one()
            if busy:
                log.warning("somebody reads the database: what was deleted leaves its log at the next run")
        else:
            connection.execute(text(f"VACUUM {', '.join(metadata.tables)}"))
