"""Opening a review: what is known is copied beside the order, and the picture is asked for."""

from sqlalchemy import select, update

from cloud_endpoint.base.ids import new_id
from cloud_endpoint.database.engine import insert
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import evidence, readings, reviews, visits, wanted_pictures
from cloud_endpoint.ordering.order import Order
from cloud_endpoint.records import audit

BY_ITSELF = "service"  # decided a review, where operators have their names


def open_review(work: Work, order: Order, *, kind: str, reason: str) -> str:
    """Queue an order for an operator; returns the review's id."""
    r = readings.c
    latest = work.connection.execute(
        select(r.plate, r.evidence_sha256)
        .where(r.site_id == order.site_id, r.visit_id == order.visit_id)
        .order_by(r.captured_ms.desc())
        .limit(1)
    ).one_or_none()
    review_id = new_id("rev")
    sha256 = latest.evidence_sha256 if latest else None
    work.connection.execute(
        reviews.insert().values(
            site_id=order.site_id,
            review_id=review_id,
            kind=kind,
            order_id=order.order_id,
            berth_id=order.berth_id,
            visit_id=order.visit_id,
            reason=reason,
            opened_ms=work.now_ms,
            read_plate=latest.plate if latest else None,
            ordered_plate=order.plate,
            evidence_sha256=sha256,
        )
    )
    if sha256 is not None:
        _want(work, order.site_id, sha256, order.visit_id)
    return review_id


def close(work: Work, order: Order, *, decision: str, reason: str) -> None:
    """Close the order's open review without an operator: nothing is left to decide."""
    r = reviews.c
    closed = work.connection.execute(
        update(reviews)
        .where(r.site_id == order.site_id, r.order_id == order.order_id, r.decision.is_(None))
        .values(
            decision=decision,
            decision_reason=reason,
            decided_by=BY_ITSELF,
            decided_ms=work.now_ms,
        )
        .returning(r.review_id)
    )
    for review_id in closed.scalars().all():
        audit.append(
            work.connection,
            order.site_id,
            actor=BY_ITSELF,
            action=f"review_{decision}",
            subject=review_id,
            now_ms=work.now_ms,
            order_id=order.order_id,
        )


def _want(work: Work, site_id: str, sha256: str, visit_id: str | None) -> None:
    e, v = evidence.c, visits.c
    if work.connection.execute(select(e.sha256).where(e.site_id == site_id, e.sha256 == sha256)).first():
        return
    device_id = work.connection.execute(
        select(v.device_id).where(v.site_id == site_id, v.visit_id == visit_id)
    ).scalar()
    if device_id is not None:
        work.connection.execute(
            insert(work.connection, wanted_pictures)
            .values(site_id=site_id, sha256=sha256, device_id=device_id, due_ms=work.now_ms, attempts=0)
            .on_conflict_do_nothing()
        )
