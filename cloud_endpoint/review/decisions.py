"""Manual review: what was read, what was ordered and what the operator sees, in three separate columns."""

from http import HTTPStatus
from typing import Any

from sqlalchemy import Connection, case, func, select, update

from cloud_endpoint.access.credentials import Credential
from cloud_endpoint.base.clock import from_ms
from cloud_endpoint.base.errors import Problem
from cloud_endpoint.database.pages import Page, fetch
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import berths, evidence, reviews
from cloud_endpoint.ordering import apply, orders
from cloud_endpoint.ordering.messages import ReviewChoice, ReviewDecision, ReviewView
from cloud_endpoint.ordering.order import Order, advance
from cloud_endpoint.ordering.states import OrderEvent, OrderState
from cloud_endpoint.records import audit
from edged.domain.plate import PlateError, parse_plate

PAGE = 100


def waiting(connection: Connection, site_id: str, number: int = 1) -> Page[ReviewView]:
    """Return a page of the open reviews; the operator is authorised to see plates.

    A driver stands in the street and waits for a check; an appeal is of an order that has ended.
    """
    r = reviews.c
    checks_first = case((r.kind == "check", 0), else_=1)
    query = _query(site_id).where(r.decision.is_(None)).order_by(checks_first, r.opened_ms, r.review_id)
    return fetch(connection, query, number, PAGE, view)


def count_waiting(connection: Connection, site_id: str) -> int:
    """Return the number of open reviews."""
    r = reviews.c
    query = select(func.count()).where(r.site_id == site_id, r.decision.is_(None))
    return int(connection.execute(query).scalar_one())


def find(connection: Connection, site_id: str, review_id: str) -> Any:
    """Return a review's row; raises Problem."""
    row = connection.execute(_query(site_id).where(reviews.c.review_id == review_id)).one_or_none()
    if row is None:
        raise Problem(
            "review-unknown",
            HTTPStatus.NOT_FOUND,
            "there is no such review",
            field="review_id",
            remedy="list them: GET /v1/reviews",
        )
    return row


def decide(work: Work, who: Credential, review_id: str, decision: ReviewDecision) -> ReviewView:
    """Close a review and decide its order; raises Problem. Only equal plates can be approved."""
    row = find(work.connection, who.site_id, review_id)
    # The order is locked first, as everywhere: then no other transaction decides this review.
    order = orders.load(work.connection, who.site_id, row.order_id, lock=True)
    row = find(work.connection, who.site_id, review_id)
    if row.decision is not None:
        raise _closed(f"this review was decided as {row.decision}")
    plate = _operator_plate(decision)
    if decision.decision is ReviewChoice.APPROVE and plate != row.ordered_plate:
        raise Problem(
            "plates-differ",
            HTTPStatus.CONFLICT,
            "the plate that the operator sees is not the one ordered",
            field="operator_plate",
            remedy="refuse the order, or correct operator_plate if it was mistyped",
        )
    if row.kind == "check":
        _tell_order(work, order, decision)
    else:
        orders.save(
            work,
            advance(
                order,
                OrderEvent.CORRECT,
                now_ms=work.now_ms,
                reason=f"appeal_{decision.decision}d",
                detail={"review_id": review_id},
                due_ms=order.due_ms,
            ),
        )
    work.connection.execute(
        update(reviews)
        .where(reviews.c.site_id == who.site_id, reviews.c.review_id == review_id)
        .values(
            operator_plate=plate,
            decision=decision.decision,
            decision_reason=decision.reason,
            decided_by=who.credential_id,
            decided_ms=work.now_ms,
        )
    )
    audit.append(
        work.connection,
        who.site_id,
        actor=who.credential_id,
        action=f"review_{decision.decision}",
        subject=review_id,
        now_ms=work.now_ms,
        order_id=row.order_id,
        kind=row.kind,
    )
    return view(find(work.connection, who.site_id, review_id))


def _tell_order(work: Work, order: Order, decision: ReviewDecision) -> None:
    if order.state is not OrderState.REVIEW:
        raise _closed(f"its order is {order.state}")
    if decision.decision is ReviewChoice.APPROVE:
        apply.approve(work, order)
    else:
        orders.save(work, advance(order, OrderEvent.REFUSE, now_ms=work.now_ms, reason="refused"))


def _operator_plate(decision: ReviewDecision) -> str | None:
    if decision.operator_plate is None:
        return None
    try:
        return parse_plate(decision.operator_plate)
    except PlateError as exc:
        raise Problem(
            "plate-impossible",
            HTTPStatus.UNPROCESSABLE_ENTITY,
            str(exc),
            field="operator_plate",
            remedy="enter the plate as seen in the picture, or none",
        ) from exc


def _query(site_id: str) -> Any:
    r, e = reviews.c, evidence.c
    return (
        select(reviews, berths.c.berth_no, e.sha256.label("stored"))
        .outerjoin(berths, (berths.c.site_id == r.site_id) & (berths.c.berth_id == r.berth_id))
        .outerjoin(evidence, (e.site_id == r.site_id) & (e.sha256 == r.evidence_sha256))
        .where(r.site_id == site_id)
    )


def view(row: Any) -> ReviewView:
    """Return a review as an operator sees it."""
    picture = f"/v1/reviews/{row.review_id}/picture" if row.stored else None
    return ReviewView(
        review_id=row.review_id,
        kind=row.kind,
        order_id=row.order_id,
        berth_no=row.berth_no,
        reason=row.reason,
        opened_at=from_ms(row.opened_ms),
        read_plate=row.read_plate,
        ordered_plate=row.ordered_plate,
        operator_plate=row.operator_plate,
        picture=picture,
        decision=row.decision,
        decision_reason=row.decision_reason,
        decided_by=row.decided_by,
        decided_at=from_ms(row.decided_ms) if row.decided_ms is not None else None,
    )


def _closed(detail: str) -> Problem:
    return Problem(
        "review-closed",
        HTTPStatus.CONFLICT,
        detail,
        field="review_id",
        remedy="nothing is left to decide; list the open ones: GET /v1/reviews",
    )
