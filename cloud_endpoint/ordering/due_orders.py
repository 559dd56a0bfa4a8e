"""Orders whose time has come. Most have no news: those cost one query and one update for all of them."""

from functools import cache
from typing import Any

from sqlalchemy import bindparam, exists, select, update

from cloud_endpoint.base.errors import DatabaseUnavailable
from cloud_endpoint.base.failures import contained
from cloud_endpoint.base.order_states import WATCHED
from cloud_endpoint.database.engine import savepoint
from cloud_endpoint.database.service import Service, Work
from cloud_endpoint.database.tables import CAPTURE_ASKED, ORDER_OPEN, berths, captures, visits
from cloud_endpoint.database.tables import orders as orders_table
from cloud_endpoint.ordering import apply
from cloud_endpoint.ordering.order import ORDER_COLUMNS, Order
from cloud_endpoint.poles.berth_sight import SCENE_COLUMNS, latest_visit, scene_in

DUTY = "due orders"
AT_ONCE = 200
AFTER_FAILURE_MS = 60_000


def look(service: Service) -> int:
    """Do what the clock demands of orders: expiry, the next look; returns how many were due.

    An order that fails unexpectedly is looked at again later, and the others are done.
    """
    later = []
    with service.writing() as work:
        due = work.connection.execute(_due(), {"now_ms": work.now_ms}).all()
        # By site: the locks on the sites' audits are taken in the same order by every worker.
        for row in sorted(due, key=lambda row: row._mapping[orders_table.c.site_id]):
            values = row._mapping
            site_id, order_id = values[orders_table.c.site_id], values[orders_table.c.order_id]
            until_ms: int | None = work.now_ms + AFTER_FAILURE_MS
            with contained(DUTY, f"order {order_id}", passing=(DatabaseUnavailable,)):
                until_ms = _look_at(work, row)
            if until_ms is not None:
                later.append({"of_site": site_id, "of_order": order_id, "until_ms": until_ms})
        if later:
            work.connection.execute(_POSTPONE, later)
    return len(due)


def _look_at(work: Work, row: Any) -> int | None:
    """Return when the order is looked at next; None if there was news and it is stored."""
    values = row._mapping
    order = Order.of({name: values[orders_table.c[name]] for name in ORDER_COLUMNS})
    if order.state in WATCHED:
        scene = scene_in({name: values[column] for name, column in SCENE_COLUMNS.items()})
        until_ms = apply.quiet_until(order, scene, work.settings, work.now_ms, on_its_way=row.on_its_way)
        if until_ms is not None:
            return until_ms
    with savepoint(work.connection):
        apply.expire(work, order)
    return None


@cache
def _due() -> Any:
    o, b, v, c = orders_table.c, berths.c, visits.c, captures.c
    asked = exists().where(
        c.site_id == o.site_id, c.order_id == o.order_id, c.submission == o.submissions, CAPTURE_ASKED
    )
    return (
        select(*orders_table.c, *SCENE_COLUMNS.values(), asked.label("on_its_way"))
        .select_from(orders_table)
        .outerjoin(berths, (b.site_id == o.site_id) & (b.berth_id == o.berth_id))
        .outerjoin(visits, (v.site_id == b.site_id) & (v.visit_id == latest_visit()))
        .where(ORDER_OPEN, o.due_ms <= bindparam("now_ms"))
        .order_by(o.due_ms)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True, of=orders_table)
    )


_POSTPONE = (
    update(orders_table)
    .where(orders_table.c.site_id == bindparam("of_site"), orders_table.c.order_id == bindparam("of_order"))
    .values(due_ms=bindparam("until_ms"))
)
