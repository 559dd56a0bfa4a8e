"""One pre-payment order: how an event changes it, and how it is answered. `orders` stores them."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from cloud_endpoint.base.clock import from_ms
from cloud_endpoint.base.order_states import CHOOSING, HOLDING
from cloud_endpoint.base.settings import CloudSettings
from cloud_endpoint.database.tables import orders
from cloud_endpoint.ordering.messages import OrderAnswer
from cloud_endpoint.ordering.states import INSTRUCTIONS, Instruction, OrderEvent, OrderState, step

NEVER_MS = 2**62
# Reasons that a driver may see beside the instruction; the others stay in the record.
PUBLIC_REASONS = frozenset(
    {
        "berth_held",
        "already_paid",
        "vehicle_left",
        "unpaid",
        "too_late",
        "cancelled_by_driver",
        "refused",
        "not_reviewed",
    }
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
    """A row of `orders`; `log` holds the events that are not stored yet, `known` what a terminal knows."""

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
    known: "Public | None" = None

    @property
    def public(self) -> "Public":
        """What a terminal may know: its app is sent each change of it, and of nothing else."""
        holds_berth = self.state in HOLDING
        return (
            self.state,
            self.reason if self.reason in PUBLIC_REASONS else None,
            self.hold_until_ms if holds_berth else None,
        )

    @classmethod
    def of(cls, row: Any) -> Self:
        """Return the order of a mapping of all columns."""
        values = {name: row[name] for name in ORDER_COLUMNS}
        values["state"] = OrderState(values["state"])
        order = cls(**values)
        return replace(order, known=order.public)


Public = tuple[OrderState, str | None, int | None]
ORDER_COLUMNS = tuple(column.name for column in orders.columns)


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
