"""What news of a pole mean for the orders: an answered capture, events of a berth."""

import logging
from typing import Any

from prometheus_client import Counter
from sqlalchemy import select

from cloud_endpoint.database.service import Service, Work
from cloud_endpoint.database.tables import devices
from cloud_endpoint.ordering import apply, orders
from cloud_endpoint.poles import captures
from edged.wire import Snapshot

log = logging.getLogger(__name__)

CAPTURES = Counter("edged_cloud_captures", "Requested pictures by outcome", ["outcome"])


def take_capture(service: Service, capture: Any, snapshot: Snapshot | None, error: str = "") -> None:
    """Judge the answer to a capture request, and its order by it."""
    with service.writing() as work:
        order = orders.find(work.connection, capture.site_id, capture.order_id, lock=True)
        if order is None:  # its captures went with it
            log.info("capture not needed any more device=%s", capture.device_id)
            return
        if snapshot is not None:
            error = captures.refusal(snapshot, _trust(work, capture), work.now_ms) or ""
        if error or snapshot is None:
            log.warning("capture failed device=%s berth=%s: %s", capture.device_id, capture.berth_no, error)
            captures.close(work.connection, capture, "failed", error)
            CAPTURES.labels("failed").inc()
            return
        if not captures.close(work.connection, capture, "answered"):
            return
        CAPTURES.labels("answered").inc()
        fresh = captures.store_sight(work, capture, snapshot)
        if capture.submission == order.submissions:
            apply.resolve(work, order, fresh=fresh, captured=True)
    service.wake.set()


def _trust(work: Work, capture: Any) -> captures.Trust:
    poles = work.settings.poles
    d = devices.c
    # Locked as by a sync: the snapshot and a batch of the same pole change the same visits.
    key = work.connection.execute(
        select(d.public_key).where(d.device_id == capture.device_id).with_for_update()
    ).scalar_one()
    return captures.Trust(
        device_id=capture.device_id,
        public_key=key,
        berth_no=capture.berth_no,
        nonce=capture.nonce,
        max_clock_skew_ms=round(poles.max_clock_skew_s * 1000),
        picture_max_age_ms=round(poles.picture_max_age_s * 1000),
    )


def decide_orders_of(service: Service, site_id: str, berth_ids: set[str]) -> None:
    """Decide the open orders of these berths again."""
    if not berth_ids:
        return
    with service.reading() as work:
        waiting = apply.open_orders(work.connection, site_id, berth_ids)
        paid = apply.paid_by_withdrawn(work.connection, site_id, berth_ids)
    for order_id in paid:
        with service.writing() as work:
            order = orders.find(work.connection, site_id, order_id, lock=True)
            if order is not None:
                apply.question_paid(work, order)
    for order_id in waiting:
        with service.writing() as work:
            order = orders.find(work.connection, site_id, order_id, lock=True)
            if order is not None:  # deleted meanwhile
                apply.resolve(work, order)
    if waiting:
        service.wake.set()
