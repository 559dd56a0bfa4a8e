"""Pre-payment orders as records: how an event changes one, how it is stored and answered."""

from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, Self

from sqlalchemy import Connection, bindparam, delete, select, update

from cloud_endpoint.base.clock import from_ms
from cloud_endpoint.base.errors import Problem
from cloud_endpoint.base.order_states import CHOOSING, CLOSED, HOLDING
from cloud_endpoint.base.settings import CloudSettings
from cloud_endpoint.database.engine import insert_all
from cloud_endpoint.database.tables import holds, order_events, orders
from cloud_endpoint.ordering.messages import OrderAnswer
from cloud_endpoint.ordering.states import INSTRUCTIONS, Instruction, OrderEvent, OrderState, step

NEVER_MS = 2**62
# Reasons that a driver may see beside the instruction; the others stay in the record.
PUBLIC_REASONS = frozenset(
    {"berth_held", "already_paid", "vehicle_left", "unpaid", "too_late", "cancelled_by_driver", "refused"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line of an order's history; never changed once written."""

    number: int
    at_ms: int
    event: OrderEvent
    state: OrderState
    reason: str
    detail: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A row of `orders`; `log` holds the events that are not stored yet."""

    site_id: str
    order_id: str
    credential_id: str
    account_id: str
    client_id: str | None
    place: dict[str, Any]
    state: OrderState
    reason: str | None
    created_ms: int
    expires_ms: int
    changes: int = 0
    offers: int = 0
    submissions: int = 0
    modifications: int = 0
    captures: int = 0
    berth_id: str | None = None
    visit_id: str | None = None
    plate: str | None = None
    minutes: int | None = None
    submitted_ms: int | None = None
    hold_until_ms: int | None = None
    due_ms: int
    log: tuple[LogEntry, ...] = ()

    @classmethod
    def of(cls, row: Any) -> Self:
        """Return the order of a mapping of all columns."""
        values = {name: row[name] for name in COLUMNS}
        values["state"] = OrderState(values["state"])
        return cls(**values)


COLUMNS = tuple(column.name for column in orders.columns)


def advance(
    order: Order,
    event: OrderEvent,
    *,
    now_ms: int,
    reason: str,
    detail: dict[str, Any] | None = None,
    **changes: Any,
) -> Order:
    """Return the order after `event`; raises IllegalEvent, and then nothing has changed."""
    state, _ = step(order.state, event)
    number = order.changes + 1
    entry = LogEntry(number=number, at_ms=now_ms, event=event, state=state, reason=reason, detail=detail)
    changes.setdefault("due_ms", _due(state, order))
    return replace(order, state=state, reason=reason, changes=number, log=(*order.log, entry), **changes)


def _due(state: OrderState, order: Order) -> int:
    if state is OrderState.DRAFT or state in CHOOSING:
        return order.expires_ms
    return NEVER_MS  # for the other states the caller of `advance` gives the time


def create(connection: Connection, order: Order) -> None:
    """Store a new order."""
    connection.execute(orders.insert().values({name: getattr(order, name) for name in COLUMNS}))


# Built once: composing a statement costs more than running it.
_UPDATE = update(orders).where(
    orders.c.site_id == bindparam("of_site"), orders.c.order_id == bindparam("of_order")
)
_LET_GO = delete(holds).where(
    holds.c.site_id == bindparam("of_site"),
    holds.c.berth_id == bindparam("of_berth"),
    holds.c.order_id == bindparam("of_order"),
)
_CHANGEABLE = tuple(
    name
    for name in COLUMNS
    if name not in ("site_id", "order_id", "credential_id", "account_id", "client_id", "place", "created_ms")
)


def save(connection: Connection, order: Order) -> Order:
    """Store what changed and the new lines of the history; a closed order lets its berth go."""
    this = {"of_site": order.site_id, "of_order": order.order_id}
    connection.execute(_UPDATE, this | {name: getattr(order, name) for name in _CHANGEABLE})
    if order.log:
        key = {"site_id": order.site_id, "order_id": order.order_id}
        lines = [key | {name: getattr(entry, name) for name in LogEntry.__slots__} for entry in order.log]
        insert_all(connection, order_events, lines)
    if order.state in CLOSED and order.state not in HOLDING and order.berth_id is not None:
        connection.execute(_LET_GO, this | {"of_berth": order.berth_id})
    return replace(order, log=())


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


def unknown() -> Problem:
    """Return the problem of an order that does not exist, or not for this asker."""
    return Problem(
        "order-unknown",
        HTTPStatus.NOT_FOUND,
        "there is no such order of this terminal",
        field="order_id",
        remedy="open one: POST /v1/orders",
    )


def answer(order: Order, settings: CloudSettings) -> OrderAnswer:
    """Return the answer to the terminal."""
    state = order.state
    hold_until = _time(order.hold_until_ms) if state in HOLDING else None
    left = None
    if state is OrderState.PLATE_MODIFICATION:
        left = max(0, settings.check.max_modifications + 1 - order.submissions)
    return OrderAnswer(
        order_id=order.order_id,
        state=state,
        instruction=INSTRUCTIONS[state],
        reason=order.reason if order.reason in PUBLIC_REASONS else None,
        expires_at=from_ms(order.expires_ms),
        hold_until=hold_until,
        attempts_left=left,
        retry_after_s=1.0 if INSTRUCTIONS[state] is Instruction.PENDING else None,
    )


def _time(at_ms: int | None) -> datetime | None:
    return from_ms(at_ms) if at_ms is not None else None
