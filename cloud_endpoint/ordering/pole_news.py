"""What news of a pole mean for the orders: an answered capture, events of a berth."""

import logging
from typing import Any

from prometheus_client import Counter
from sqlalchemy import Connection, select

from cloud_endpoint.base.service import Cloud
from cloud_endpoint.database.engine import reading, writing
from cloud_endpoint.database.tables import devices
from cloud_endpoint.ordering import apply, orders
from cloud_endpoint.poles import captures
from edged.wire import Snapshot

log = logging.getLogger(__name__)

CAPTURES = Counter("edged_cloud_captures", "Requested pictures by outcome", ["outcome"])


def take_capture(cloud: Cloud, capture: Any, snapshot: Snapshot | None, error: str = "") -> None:
    """Judge the answer to a capture request, and its order by it."""
    now_ms = cloud.clock()
    with writing(cloud.engine) as connection:
        order = orders.find(connection, capture.site_id, capture.order_id, lock=True)
        if order is None:  # its captures went with it
            log.info("capture not needed any more device=%s", capture.device_id)
            return
        if snapshot is not None:
            error = captures.refusal(snapshot, _trust(cloud, connection, capture), now_ms) or ""
        if error or snapshot is None:
            log.warning("capture failed device=%s berth=%s: %s", capture.device_id, capture.berth_no, error)
            captures.close(connection, capture, "failed", error)
            CAPTURES.labels("failed").inc()
            return
        if not captures.close(connection, capture, "answered"):
            return
        CAPTURES.labels("answered").inc()
        fresh = captures.record(connection, capture, snapshot, now_ms)
        if capture.submission == order.submissions:
            apply.resolve(connection, order, cloud.settings, now_ms, fresh=fresh, captured=True)
    cloud.wake.set()


def _trust(cloud: Cloud, connection: Connection, capture: Any) -> captures.Trust:
    poles = cloud.settings.poles
    d = devices.c
    # Locked as by a sync: the snapshot and a batch of the same pole tell of the same visits.
    key = connection.execute(
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


def look_at(cloud: Cloud, site_id: str, berth_ids: set[str]) -> None:
    """Decide the open orders of these berths again."""
    if not berth_ids:
        return
    with reading(cloud.engine) as connection:
        waiting = apply.open_orders(connection, site_id, berth_ids)
    for order_id in waiting:
        with writing(cloud.engine) as connection:
            order = orders.find(connection, site_id, order_id, lock=True)
            if order is not None:  # deleted meanwhile
                apply.resolve(connection, order, cloud.settings, cloud.clock())
    if waiting:
        cloud.wake.set()
