"""What a pole asks and tells: enrolment, events, pictures; and what its news mean for the orders."""

import logging
from typing import Any

from prometheus_client import Counter
from sqlalchemy import Connection, select

from cloud_endpoint import captures, checks, enrolment, evidence, orders, outages
from cloud_endpoint.access import authenticate_device
from cloud_endpoint.clock import from_ms
from cloud_endpoint.database import reading, writing
from cloud_endpoint.ingest import ingest
from cloud_endpoint.service import Cloud
from cloud_endpoint.tables import captures as captures_table
from cloud_endpoint.tables import devices
from edged.wire import EnrolmentAnswer, EnrolmentRequest, Snapshot, SnapshotTaken, SyncAnswer, SyncRequest

log = logging.getLogger(__name__)

EVENTS = Counter("edged_cloud_events", "Events of poles by verdict", ["verdict"])
CAPTURES = Counter("edged_cloud_captures", "Requested pictures by outcome", ["outcome"])


def enrol(cloud: Cloud, request: EnrolmentRequest) -> EnrolmentAnswer:
    """Trade a one-time code for a pole's credentials."""
    with writing(cloud.engine) as connection:
        answer = enrolment.enrol(connection, request, cloud.clock())
    log.info("enrolled device=%s site=%s", answer.device_id, answer.site_id)
    return answer


def sync(cloud: Cloud, device_id: str, token: str, request: SyncRequest) -> SyncAnswer:
    """Take a pole's batch and answer with verdicts and requests."""
    now_ms = cloud.clock()
    poles = cloud.settings.poles
    with writing(cloud.engine) as connection:
        device = authenticate_device(connection, device_id, token, lock=True)
        site_id = device.site_id
        outages.silence_ended(connection, site_id, device_id, device.last_sync_ms, now_ms)
        result = ingest(connection, site_id, device_id, request, now_ms, round(poles.max_clock_skew_s * 1000))
    for verdict in result.verdicts:
        EVENTS.labels(verdict.verdict.value).inc()
    for event in result.snapshots:
        _take_carried(cloud, site_id, device_id, event)
    look_at(cloud, site_id, result.berth_ids)
    with reading(cloud.engine) as connection:
        requests = captures.carried(connection, site_id, device_id, cloud.clock())
        wanted = evidence.wanted(connection, site_id, device_id)
    return SyncAnswer(
        verdicts=tuple(result.verdicts),
        capture_requests=requests,
        wanted_evidence=wanted,
        server_time=from_ms(cloud.clock()),
        poll_after_s=poles.sync_busy_s if requests else poles.sync_idle_s,
    )


def _take_carried(cloud: Cloud, site_id: str, device_id: str, event: SnapshotTaken) -> None:
    c = captures_table.c
    with reading(cloud.engine) as connection:
        capture = connection.execute(
            select(captures_table).where(
                c.site_id == site_id, c.request_id == event.request_id, c.device_id == device_id
            )
        ).one_or_none()
    if capture is not None:
        take_capture(cloud, capture, event.snapshot, event.error or "the pole gave no picture")


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
            checks.resolve(connection, order, cloud.settings, now_ms, fresh=fresh, captured=True)
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


def put_evidence(cloud: Cloud, device_id: str, token: str, sha256: str, body: bytes) -> None:
    """Keep a picture that a pole uploads."""
    with writing(cloud.engine) as connection:
        device = authenticate_device(connection, device_id, token)
        evidence.store(connection, device.site_id, device_id, sha256, body, cloud.clock())


def look_at(cloud: Cloud, site_id: str, berth_ids: set[str]) -> None:
    """Decide the open orders of these berths again."""
    if not berth_ids:
        return
    with reading(cloud.engine) as connection:
        waiting = checks.open_orders(connection, site_id, berth_ids)
    for order_id in waiting:
        with writing(cloud.engine) as connection:
            order = orders.find(connection, site_id, order_id, lock=True)
            if order is not None:  # deleted meanwhile
                checks.resolve(connection, order, cloud.settings, cloud.clock())
    if waiting:
        cloud.wake.set()
