"""What a pole asks and tells: enrolment, events, pictures."""

import logging

from prometheus_client import Counter
from sqlalchemy import select

from cloud_endpoint.access.credentials import authenticate_device
from cloud_endpoint.base.clock import from_ms
from cloud_endpoint.base.service import Cloud
from cloud_endpoint.database.engine import reading, writing
from cloud_endpoint.database.tables import captures as captures_table
from cloud_endpoint.ordering.pole_news import look_at, take_capture
from cloud_endpoint.poles import captures, enrolment, evidence
from cloud_endpoint.poles.ingest import ingest
from cloud_endpoint.street import outages
from edged.wire import EnrolmentAnswer, EnrolmentRequest, SnapshotTaken, SyncAnswer, SyncRequest

log = logging.getLogger(__name__)

EVENTS = Counter("edged_cloud_events", "Events of poles by verdict", ["verdict"])


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


def put_evidence(cloud: Cloud, device_id: str, token: str, sha256: str, body: bytes) -> None:
    """Keep a picture that a pole uploads."""
    with writing(cloud.engine) as connection:
        device = authenticate_device(connection, device_id, token)
        evidence.store(connection, device.site_id, device_id, sha256, body, cloud.clock())
