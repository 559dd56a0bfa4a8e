"""The requests of a pole: enrolment, events, pictures."""

import logging

from prometheus_client import Counter
from sqlalchemy import select

from cloud_endpoint.access.credentials import authenticate_device
from cloud_endpoint.base.clock import from_ms
from cloud_endpoint.database.service import Service
from cloud_endpoint.database.tables import captures as captures_table
from cloud_endpoint.ordering.pole_news import decide_orders_of, take_capture
from cloud_endpoint.poles import captures, enrolment, evidence
from cloud_endpoint.poles.ingest import ingest
from cloud_endpoint.street import outages
from edged.wire import EnrolmentAnswer, EnrolmentRequest, SnapshotTaken, SyncAnswer, SyncRequest

log = logging.getLogger(__name__)

EVENTS = Counter("edged_cloud_events", "Events of poles by verdict", ["verdict"])


def enrol(service: Service, request: EnrolmentRequest) -> EnrolmentAnswer:
    """Trade a one-time code for a pole's credentials."""
    with service.writing() as work:
        answer = enrolment.enrol(work, request)
    log.info("enrolled device=%s site=%s", answer.device_id, answer.site_id)
    return answer


def sync(service: Service, device_id: str, token: str, request: SyncRequest) -> SyncAnswer:
    """Take a pole's batch and answer with verdicts and requests."""
    poles = service.settings.poles
    with service.writing() as work:
        device = authenticate_device(work.connection, device_id, token, lock=True)
        site_id = device.site_id
        outages.record_silence(work, site_id, device_id, device.last_sync_ms)
        result = ingest(work, site_id, device_id, request)
    for verdict in result.verdicts:
        EVENTS.labels(verdict.verdict.value).inc()
    for event in result.snapshots:
        _take_carried(service, site_id, device_id, event)
    decide_orders_of(service, site_id, result.berth_ids)
    with service.reading() as work:
        requests = captures.requests_for(work, site_id, device_id)
        wanted = evidence.wanted_from(work.connection, site_id, device_id)
    return SyncAnswer(
        verdicts=tuple(result.verdicts),
        capture_requests=requests,
        wanted_evidence=wanted,
        server_time=from_ms(service.clock()),
        poll_after_s=poles.sync_busy_s if requests else poles.sync_idle_s,
    )


def _take_carried(service: Service, site_id: str, device_id: str, event: SnapshotTaken) -> None:
    c = captures_table.c
    with service.reading() as work:
        capture = work.connection.execute(
            select(captures_table).where(
                c.site_id == site_id, c.request_id == event.request_id, c.device_id == device_id
            )
        ).one_or_none()
    if capture is not None:
        take_capture(service, capture, event.snapshot, event.error or "the pole gave no picture")


def put_evidence(service: Service, device_id: str, token: str, sha256: str, body: bytes) -> None:
    """Keep a picture that a pole uploads."""
    with service.writing() as work:
        device = authenticate_device(work.connection, device_id, token)
        evidence.store(work, device.site_id, device_id, sha256, body)
