"""Payments reported by the operator's signed callback. No payment is ever dropped."""

from enum import StrEnum
from http import HTTPStatus
from typing import Any

from sqlalchemy import Connection, func, select

from cloud_endpoint.access.signatures import is_signed
from cloud_endpoint.base.clock import to_ms
from cloud_endpoint.base.errors import Problem
from cloud_endpoint.database.engine import insert
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import credentials, order_events, payments, visits
from cloud_endpoint.ordering import apply, holds, orders, review_queue
from cloud_endpoint.ordering.messages import PaymentAnswer, PaymentReport
from cloud_endpoint.ordering.order import NEVER_MS, Order, advance
from cloud_endpoint.ordering.states import TABLE, OrderEvent, OrderState
from cloud_endpoint.poles.berth_sight import scene_of
from cloud_endpoint.records import audit

MINUTE_MS = 60_000
GRACE_MS = 60_000  # between the operator's clock and ours


class PaymentOutcome(StrEnum):
    """What a payment came to."""

    APPLIED = "applied"
    REFUND_DUE = "refund_due"  # nothing was there to be paid at that time: the operator pays back


class RefundReason(StrEnum):
    """Why a payment is not applied."""

    NOTHING_PAID = "nothing_paid"  # 0 fen: no quote of this service says that a stay is free
    NOT_CONFIRMED = "not_confirmed"
    CANCELLED = "cancelled"
    PAID_TOO_EARLY = "paid_too_early"  # before the order was confirmed
    PAID_IN_FUTURE = "paid_in_future"
    PAID_TOO_LATE = "paid_too_late"  # after the hold, or after the order had ended
    PAID_TWICE = "paid_twice"  # paid already, and no minutes say that it is for a longer stay
    VEHICLE_LEFT = "vehicle_left"  # a longer stay of a vehicle that was gone


def authentic(work: Work, credential_id: str, header: str, body: bytes) -> str:
    """Return the site whose credential signed this callback; raises Problem."""
    c = credentials.c
    row = work.connection.execute(
        select(c.site_id, c.signing_secret).where(c.credential_id == credential_id, c.revoked_ms.is_(None))
    ).one_or_none()
    if row is None or not is_signed(body, header, row.signing_secret, work.now_ms / 1000):
        raise Problem(
            "signature-refused",
            HTTPStatus.UNAUTHORIZED,
            "the signature does not fit this body, or is older than 5 minutes",
            field="Edged-Signature",
            remedy="sign `<unix seconds>.<body>` by HMAC-SHA256 with the credential's signing secret",
        )
    return str(row.site_id)


def report(work: Work, site_id: str, credential_id: str, payment: PaymentReport) -> PaymentAnswer:
    """Record a payment and close its order; the same payment twice is recorded once."""
    order = orders.load(work.connection, site_id, payment.order_id, credential_id=credential_id, lock=True)
    known = work.connection.execute(
        select(payments).where(payments.c.site_id == site_id, payments.c.payment_id == payment.payment_id)
    ).one_or_none()
    if known is not None:
        _require_same(known, payment)
        return PaymentAnswer(payment_id=payment.payment_id, outcome=known.outcome, reason=known.reason)
    reason = _refund_reason(work, order, payment)
    outcome = PaymentOutcome.APPLIED if reason is None else PaymentOutcome.REFUND_DUE
    work.connection.execute(
        insert(work.connection, payments).values(
            site_id=site_id,
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            amount_fen=payment.amount_fen,
            paid_ms=to_ms(payment.paid_at),
            received_ms=work.now_ms,
            outcome=outcome,
            minutes=payment.minutes or 0,
            reason=reason,
        )
    )
    if outcome is PaymentOutcome.APPLIED:
        _apply(work, order, payment)
    else:
        audit.append(
            work.connection,
            site_id,
            actor=credential_id,
            action="refund_due",
            subject=payment.payment_id,
            now_ms=work.now_ms,
            order_id=order.order_id,
            order_state=order.state,
            reason=reason,
        )
    return PaymentAnswer(payment_id=payment.payment_id, outcome=outcome, reason=reason)


def _require_same(known: Any, payment: PaymentReport) -> None:
    """Refuse another payment under a known id; raises Problem.

    An app that stamps `paid_at` anew when it repeats a report is within the grace.
    """
    changed = {
        "order_id": known.order_id != payment.order_id,
        "amount_fen": known.amount_fen != payment.amount_fen,
        "minutes": known.minutes is not None and known.minutes != (payment.minutes or 0),
        "paid_at": abs(known.paid_ms - to_ms(payment.paid_at)) > GRACE_MS,
    }
    names = [name for name, is_other in changed.items() if is_other]
    if names:
        raise Problem(
            "payment-changed",
            HTTPStatus.CONFLICT,
            f"payment_id {payment.payment_id} was reported before with another {' and '.join(names)}",
            field="payment_id",
            remedy="report each payment under an id of its own, and repeat a report unchanged",
        )


def _refund_reason(work: Work, order: Order, payment: PaymentReport) -> RefundReason | None:
    """Return why the payment is not applied, None if it is.

    A driver who paid while the order was confirmed has paid, even if the car left before we heard. A paid
    order is paid again for a longer stay, by minutes, while its time runs and the car is there.
    """
    paid_ms = to_ms(payment.paid_at)
    if payment.amount_fen == 0:
        return RefundReason.NOTHING_PAID
    if (order.state, OrderEvent.PAY) not in TABLE or order.hold_until_ms is None:
        return RefundReason.CANCELLED if order.state is OrderState.CANCELLED else RefundReason.NOT_CONFIRMED
    confirmed_ms, ended_ms = _confirmed_from_to(work.connection, order)
    if paid_ms < confirmed_ms - GRACE_MS:
        return RefundReason.PAID_TOO_EARLY
    if paid_ms > work.now_ms + GRACE_MS:
        return RefundReason.PAID_IN_FUTURE
    if order.state is OrderState.PAID and payment.minutes is None:
        return RefundReason.PAID_TWICE
    if order.state is OrderState.PAID and not _stood_there(work.connection, order, paid_ms):
        return RefundReason.VEHICLE_LEFT
    if paid_ms > min(order.hold_until_ms, ended_ms) + GRACE_MS:
        return RefundReason.PAID_TOO_LATE
    return None


def _confirmed_from_to(connection: Connection, order: Order) -> tuple[int, int]:
    """Return when the order was first confirmed, and when it expired; far times for what never was."""
    e = order_events.c
    first = {}
    for state, at_ms in connection.execute(
        select(e.state, func.min(e.at_ms))
        .where(
            e.site_id == order.site_id,
            e.order_id == order.order_id,
            e.state.in_([OrderState.CONFIRMED, OrderState.EXPIRED]),
        )
        .group_by(e.state)
    ):
        first[state] = at_ms
    ended_ms = first.get(OrderState.EXPIRED, NEVER_MS) if order.state is OrderState.EXPIRED else NEVER_MS
    return first.get(OrderState.CONFIRMED, NEVER_MS), ended_ms


def _stood_there(connection: Connection, order: Order, at_ms: int) -> bool:
    sight = scene_of(connection, order.site_id, order.berth_id or "").sight
    if sight is not None and sight.visit_id == order.visit_id:
        return True
    v = visits.c
    ended_ms = connection.execute(
        select(v.ended_ms).where(v.site_id == order.site_id, v.visit_id == order.visit_id)
    ).scalar()
    return ended_ms is not None and at_ms <= ended_ms


def _apply(work: Work, order: Order, payment: PaymentReport) -> None:
    minutes = payment.minutes or order.minutes or 0
    held_ms = order.hold_until_ms or 0
    if order.state is OrderState.PAID:
        until_ms, booked = held_ms + minutes * MINUTE_MS, (order.minutes or 0) + minutes
    else:  # from the payment on, however late it was reported
        until_ms, booked = (
            max(held_ms, min(to_ms(payment.paid_at), work.now_ms) + minutes * MINUTE_MS),
            minutes,
        )
    if order.state is OrderState.REVIEW:  # confirmed, paid, and its reading taken back before we heard
        review_queue.close(work, order, decision="withdrawn", reason="the driver had paid")
    holds.prolong(work, order, until_ms)
    paid = orders.save(
        work,
        advance(
            order,
            OrderEvent.PAY,
            now_ms=work.now_ms,
            reason="paid",
            detail={"payment_id": payment.payment_id, "minutes": minutes},
            hold_until_ms=until_ms,
            minutes=booked,
        ),
    )
    if order.state in (OrderState.PENDING, OrderState.REVIEW):  # its reading is in doubt still
        apply.question_paid(work, paid)
