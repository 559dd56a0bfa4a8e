"""A driver objects to what became of an order: a review is opened, nothing is overwritten."""

from http import HTTPStatus

from sqlalchemy import func, select

from cloud_endpoint.base.clock import DAY_MS
from cloud_endpoint.base.errors import Problem
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import order_events, reviews
from cloud_endpoint.ordering import limits, orders
from cloud_endpoint.ordering.order import Order, advance
from cloud_endpoint.ordering.review_queue import open_review
from cloud_endpoint.ordering.states import OrderEvent
from cloud_endpoint.records import audit


def appeal(work: Work, order: Order, reason: str) -> Order:
    """Open a review of a closed order. `order` is locked. Raises IllegalEvent, and Problem.

    An order has one open appeal at a time, and an account a few a day: the operator's list is for everybody.
    """
    changed = advance(order, OrderEvent.APPEAL, now_ms=work.now_ms, reason="appeal", due_ms=order.due_ms)
    _require_appealable(work, order)
    limits.charge(
        work,
        order.site_id,
        "account",
        order.account_id,
        what="appeals",
        most=work.settings.limits.appeals_per_account_per_day,
        window_ms=DAY_MS,
    )
    review_id = open_review(work, order, kind="appeal", reason=reason)
    audit.append(
        work.connection,
        order.site_id,
        actor=order.credential_id,
        action="appeal",
        subject=review_id,
        now_ms=work.now_ms,
        order_id=order.order_id,
    )
    return orders.save(work, changed)


def _require_appealable(work: Work, order: Order) -> None:
    if order.submissions == 0:
        raise _refused(
            "appeal-without-plate", "no plate was ever submitted for this order", "open a new order"
        )
    days = work.settings.limits.appeal_days
    e = order_events.c
    ended_ms = work.connection.execute(
        select(func.max(e.at_ms)).where(
            e.site_id == order.site_id,
            e.order_id == order.order_id,
            e.event.not_in([OrderEvent.APPEAL, OrderEvent.CORRECT]),
        )
    ).scalar()
    if ended_ms is None or work.now_ms - ended_ms > days * DAY_MS:
        raise _refused("appeal-too-late", f"the order ended more than {days} days ago", "ask the operator")
    r = reviews.c
    is_open = select(r.review_id).where(
        r.site_id == order.site_id, r.order_id == order.order_id, r.decision.is_(None)
    )
    if work.connection.execute(is_open).first() is not None:
        raise _refused(
            "appeal-open", "an appeal of this order waits for an operator", "wait for its decision"
        )


def _refused(slug: str, detail: str, remedy: str) -> Problem:
    return Problem(slug, HTTPStatus.CONFLICT, detail, field="order_id", remedy=remedy)
