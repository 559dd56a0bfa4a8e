"""The hold on a berth: of two drivers racing for one vehicle exactly one gets it."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, delete, or_, select

from cloud_endpoint.database.engine import insert_of
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import holds, orders
from cloud_endpoint.ordering.order import Order
from cloud_endpoint.ordering.states import OrderState
from cloud_endpoint.poles.berth_sight import Scene


def take(work: Work, order: Order, scene: Scene, until_ms: int) -> bool:
    """Hold the berth for the order; False when another order holds it for the same vehicle."""
    assert scene.sight is not None  # only a match holds
    values = _values(order, scene.berth.berth_id, scene.sight.visit_id, until_ms, work.now_ms)
    # Not rowcount: the driver does not report it for INSERT.
    return work.connection.execute(_take_hold(work.connection.dialect.name), values).first() is not None


def prolong(work: Work, order: Order, until_ms: int) -> None:
    """Hold the berth for a paid order, longer or again; another order that holds it by now keeps it."""
    h = holds.c
    this = (h.site_id == order.site_id) & (h.berth_id == order.berth_id)
    others = (h.order_id != order.order_id) & (h.until_ms > work.now_ms)
    if work.connection.execute(select(h.order_id).where(this, others).with_for_update()).first() is None:
        values = _values(order, order.berth_id, order.visit_id, until_ms, work.now_ms)
        work.connection.execute(_take_hold(work.connection.dialect.name), values)


def release(work: Work, order: Order) -> None:
    """End the order's hold: another order may have the berth."""
    h = holds.c
    work.connection.execute(
        delete(holds).where(
            h.site_id == order.site_id, h.berth_id == order.berth_id, h.order_id == order.order_id
        )
    )


def why_held(connection: Connection, order: Order) -> str:
    """Return the reason why another order has the hold on this order's vehicle."""
    h, o = holds.c, orders.c
    holder = (
        select(o.state)
        .join(holds, (h.site_id == o.site_id) & (h.order_id == o.order_id))
        .where(h.site_id == order.site_id, h.berth_id == order.berth_id)
    )
    paid = connection.execute(holder).scalar() == OrderState.PAID
    return "already_paid" if paid else "berth_held"


def _values(
    order: Order, berth_id: str | None, visit_id: str | None, until_ms: int, now_ms: int
) -> dict[str, Any]:
    return {
        "site_id": order.site_id,
        "berth_id": berth_id,
        "order_id": order.order_id,
        "visit_id": visit_id,
        "until_ms": until_ms,
        "now_ms": now_ms,
    }


@cache
def _take_hold(dialect: str) -> Any:
    statement = insert_of(dialect, holds)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["site_id", "berth_id"],
        set_={"order_id": new.order_id, "visit_id": new.visit_id, "until_ms": new.until_ms},
        where=or_(
            holds.c.until_ms <= bindparam("now_ms"),
            holds.c.order_id == new.order_id,
            holds.c.visit_id != new.visit_id,
        ),
    ).returning(holds.c.order_id)
