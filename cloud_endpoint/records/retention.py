"""Data that is no longer needed goes, by class and age (a person's request: `forgetting`).

Rows are deleted in steps, so that an order placed meanwhile waits for one step only.
"""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    Table,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)

from cloud_endpoint.base.clock import DAY_MS
from cloud_endpoint.base.order_states import CLOSED
from cloud_endpoint.base.settings import RetentionSettings
from cloud_endpoint.database.engine import reading, writing
from cloud_endpoint.database.tables import audit as audit_lines
from cloud_endpoint.database.tables import (
    audit_heads,
    captures,
    counters,
    enrolment_codes,
    events,
    evidence,
    idempotency,
    orders,
    outages,
    readings,
    reviews,
    sites,
    visits,
    wanted_pictures,
    webhooks,
)
from cloud_endpoint.records import audit
from cloud_endpoint.records.deletion import Gone, delete_orders, wipe

TECHNICAL_DAYS = 7  # captures, webhooks, counters, idempotency keys, codes
STEP_ROWS = 2000


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
    kept_ms = day["visits_days"]
    found = [
        Rule(name="pictures", table=evidence, over=evidence.c.received_ms < day["pictures_days"]),
        Rule(name="technical", table=wanted_pictures, over=~needed),
        Rule(
            name="visits",
            table=visits,
            over=and_(v.seen_ms < kept_ms, or_(v.ended_ms.is_not(None), superseded)),
        ),
        *_plate_rules(day["plates_days"]),
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


def _plate_rules(plates_ms: int) -> list[Rule]:
    """Return what loses its plate now and stays otherwise."""
    r, v, w = readings.c, visits.c, reviews.c
    plate = {"plate": None, "characters": None}
    return [
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
                orders.c.state.in_(CLOSED),
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


def _old_orders(keep: RetentionSettings, now_ms: int) -> ColumnElement[bool]:
    before_ms = now_ms - keep.orders_days * DAY_MS
    return (orders.c.created_ms < before_ms) & orders.c.state.in_(CLOSED)


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
            found = delete_orders(connection, _old_orders(keep, now_ms), most=STEP_ROWS)
        gone.orders += found
        if found < STEP_ROWS:
            break
    with writing(engine) as connection:
        for site_id in connection.execute(select(audit_heads.c.site_id).order_by("site_id")).scalars().all():
            gone.audit_lines += audit.prune(connection, site_id, now_ms - keep.audit_days * DAY_MS)
        for site_id in connection.execute(select(sites.c.site_id).order_by("site_id")).scalars().all():
            audit.append(
                connection,
                site_id,
                actor="cli",
                action="retention",
                subject="all",
                now_ms=now_ms,
                **asdict(gone),
            )
    wipe(engine)
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
