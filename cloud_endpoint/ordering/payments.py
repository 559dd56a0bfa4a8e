"""Payments reported by the operator's signed callback. No payment is ever dropped."""

from enum import StrEnum
from http import HTTPStatus

from sqlalchemy import Connection, select

from cloud_endpoint.access.signatures import is_signed
from cloud_endpoint.base.clock import to_ms
from cloud_endpoint.base.errors import Problem
from cloud_endpoint.database.engine import insert
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import credentials, payments, visits
from cloud_endpoint.ordering import holds, orders, review_queue
from cloud_endpoint.ordering.messages import PaymentAnswer, PaymentReport
from cloud_endpoint.ordering.order import Order, advance
from cloud_endpoint.ordering.states import TABLE, OrderEvent, OrderState
from cloud_endpoint.poles.berth_sight import scene_of
from cloud_endpoint.records import audit

MINUTE_MS = 60_000
GRACE_MS = 60_000  # between the operator's clock and ours


class PaymentOutcome(StrEnum):
    """What a payment came to."""

    APPLIED = "applied"
    REFUND_DUE = "refund_due"  # nothing was there to be paid at that time: the operator pays back


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
        if (known.order_id, known.amount_fen) != (payment.order_id, payment.amount_fen):
            raise Problem(
                "payment-changed",
                HTTPStatus.CONFLICT,
                "this payment_id was reported with another order or amount",
                field="payment_id",
                remedy="report each payment under an id of its own",
            )
        return PaymentAnswer(payment_id=payment.payment_id, outcome=known.outcome)
    outcome = (
        PaymentOutcome.APPLIED if _counts(work.connection, order, payment) else PaymentOutcome.REFUND_DUE
    )
    work.connection.execute(
        insert(work.connection, payments).values(
            site_id=site_id,
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            amount_fen=payment.amount_fen,
            paid_ms=to_ms(payment.paid_at),
            received_ms=work.now_ms,
            outcome=outcome,
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
        )
    return PaymentAnswer(payment_id=payment.payment_id, outcome=outcome)


def _counts(connection: Connection, order: Order, payment: PaymentReport) -> bool:
    """A driver who paid while the order was confirmed has paid, even if the car left before we heard.

    A paid order is paid again for a longer stay, by minutes, while its time runs and the car is there.
    """
    paid_ms = to_ms(payment.paid_at)
    if (order.state, OrderEvent.PAY) not in TABLE or order.hold_until_ms is None:
        return False
    if order.state is OrderState.PAID and (
        payment.minutes is None or not _stood_there(connection, order, paid_ms)
    ):
        return False
    return paid_ms <= order.hold_until_ms + GRACE_MS


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
    orders.save(
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
