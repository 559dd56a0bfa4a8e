"""Pre-payment orders as they are stored, with their history; each change that a terminal may know is sent."""

from collections.abc import Collection
from dataclasses import replace
from http import HTTPStatus

from sqlalchemy import Connection, bindparam, delete, select, update

from cloud_endpoint.base.errors import Problem
from cloud_endpoint.base.order_states import CLOSED, HOLDING
from cloud_endpoint.database.engine import insert_all, padded
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import holds, order_events, orders
from cloud_endpoint.ordering import webhooks
from cloud_endpoint.ordering.order import ORDER_COLUMNS, LogEntry, Order
from cloud_endpoint.ordering.states import OrderEvent, OrderState


def create(connection: Connection, order: Order) -> None:
    """Store a new order."""
    connection.execute(orders.insert().values({name: getattr(order, name) for name in ORDER_COLUMNS}))


# Built once: composing a statement costs more than running it.
_UPDATE = update(orders).where(
    orders.c.site_id == bindparam("of_site"), orders.c.order_id == bindparam("of_order")
)
_RELEASE = delete(holds).where(
    holds.c.site_id == bindparam("of_site"),
    holds.c.berth_id == bindparam("of_berth"),
    holds.c.order_id == bindparam("of_order"),
)
_CHANGEABLE = tuple(
    name
    for name in ORDER_COLUMNS
    if name not in ("site_id", "order_id", "credential_id", "account_id", "client_id", "place", "created_ms")
)


def save(work: Work, order: Order) -> Order:
    """Store what changed, the new lines of the history and the webhook; a closed order releases its berth."""
    connection = work.connection
    this = {"of_site": order.site_id, "of_order": order.order_id}
    connection.execute(_UPDATE, this | {name: getattr(order, name) for name in _CHANGEABLE})
    if order.log:
        key = {"site_id": order.site_id, "order_id": order.order_id}
        lines = [key | {name: getattr(entry, name) for name in LogEntry.__slots__} for entry in order.log]
        insert_all(connection, order_events, lines)
    if order.state in CLOSED and order.state not in HOLDING and order.berth_id is not None:
        connection.execute(_RELEASE, this | {"of_berth": order.berth_id})
    if order.public != order.known:
        webhooks.queue(work, order)
    return replace(order, log=(), known=order.public)


def has_had(connection: Connection, order: Order, *events: OrderEvent) -> bool:
    """Tell whether one of these events is in the order's stored history."""
    e = order_events.c
    found = connection.execute(
        select(e.number)
        .where(e.site_id == order.site_id, e.order_id == order.order_id, e.event.in_(events))
        .limit(1)
    )
    return found.first() is not None


def find(connection: Connection, site_id: str, order_id: str, *, lock: bool) -> Order | None:
    """Return an order, None when retention or its driver's wish has deleted it."""
    query = select(orders).where(orders.c.site_id == site_id, orders.c.order_id == order_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return Order.of(row) if row is not None else None


def load(
    connection: Connection, site_id: str, order_id: str, *, credential_id: str | None = None, lock: bool
) -> Order:
    """Return an order, of this terminal only when one is given; raises Problem."""
    order = find(connection, site_id, order_id, lock=lock)
    # A stranger's order and none at all look the same from outside.
    if order is None or credential_id not in (None, order.credential_id):
        raise unknown()
    return order


def in_states(
    connection: Connection, keys: Collection[tuple[str, str]], states: Collection[OrderState]
) -> set[tuple[str, str]]:
    """Return those of the orders, by site and id, that are in one of the states."""
    o = orders.c
    if not keys:
        return set()
    sites, ids = zip(*keys, strict=True)
    rows = connection.execute(
        select(o.site_id, o.order_id).where(
            o.site_id.in_(padded(set(sites))), o.order_id.in_(padded(ids)), o.state.in_(states)
        )
    )
    return {(row.site_id, row.order_id) for row in rows}


def unknown() -> Problem:
    """Return the problem of an order that does not exist, or not for this asker."""
    return Problem(
        "order-unknown",
        HTTPStatus.NOT_FOUND,
        "there is no such order of this terminal",
        field="order_id",
        remedy="open one: POST /v1/orders",
    )
