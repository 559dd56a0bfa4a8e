"""Curb Data Specification 1.1: events and status of a site, derived from visits. Plates are left out.

Times are integer milliseconds, locations GeoJSON points; ids that must be UUIDs are derived from ours, so
that they are the same in every answer. Curb zones and areas are the city's own records and not here.
"""

from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import Connection, or_, select

from cloud_endpoint.clock import to_ms
from cloud_endpoint.errors import Problem
from cloud_endpoint.limits import HOUR_MS
from cloud_endpoint.tables import berths, devices, sites, visits

VERSION = "1.1.0"
ONLINE_MS = 5 * 60_000
MOST_EVENTS = 20_000
_NAMESPACE = uuid5(NAMESPACE_URL, "https://edged.example/cds")


def events(connection: Connection, site_id: str, hour_ms: int | None, now_ms: int) -> dict[str, Any]:
    """Return the park_start and park_end events of an hour, or of the last 60 minutes; newest first."""
    begin_ms = hour_ms if hour_ms is not None else now_ms - HOUR_MS
    end_ms = begin_ms + HOUR_MS if hour_ms is not None else now_ms + 1
    v, b = visits.c, berths.c
    rows = connection.execute(
        select(v.visit_id, v.device_id, v.started_ms, v.ended_ms, b.berth_id, b.zone_id, b.lat, b.lon)
        .join(berths, (b.site_id == v.site_id) & (b.berth_id == v.berth_id))
        .where(
            v.site_id == site_id,
            v.started_ms.is_not(None),
            or_(v.started_ms.between(begin_ms, end_ms - 1), v.ended_ms.between(begin_ms, end_ms - 1)),
        )
        .limit(MOST_EVENTS)
    ).all()
    found = []
    for row in rows:
        for event_type, at_ms in (("park_start", row.started_ms), ("park_end", row.ended_ms)):
            if at_ms is not None and begin_ms <= at_ms < end_ms:
                found.append(_event(site_id, row, event_type, at_ms))
    found.sort(key=lambda event: event["event_time"], reverse=True)
    return _envelope(connection, site_id, now_ms, {"events": found})


def hour_of(text: str) -> int:
    """Return the begin of an hour such as 2026-03-01T07 in UTC; raises Problem."""
    try:
        return to_ms(datetime.fromisoformat(f"{text}:00:00+00:00"))
    except ValueError as exc:
        raise Problem(
            "request-invalid",
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{text!r} is no hour of the calendar",
            field="event_time",
            remedy="give an hour of UTC as YYYY-MM-DDTHH",
        ) from exc


def status(connection: Connection, site_id: str, now_ms: int) -> dict[str, Any]:
    """Return the state of the site's poles."""
    rows = connection.execute(
        select(devices.c.device_id, devices.c.last_sync_ms).where(devices.c.site_id == site_id)
    )
    found = [
        {
            "data_source_device_id": _uuid(site_id, "device", row.device_id),
            "data_source_type": "camera",
            "sensor_status_is_commissioned": True,
            "sensor_status_is_online": (
                row.last_sync_ms is not None and now_ms - row.last_sync_ms < ONLINE_MS
            ),
        }
        for row in rows
    ]
    return _envelope(connection, site_id, now_ms, {"status": found})


def _event(site_id: str, row: Any, event_type: str, at_ms: int) -> dict[str, Any]:
    event: dict[str, Any] = {
        "event_id": _uuid(site_id, event_type, row.visit_id),
        "event_type": event_type,
        "event_time": at_ms,
        # A visit does not keep when it was first published; it never was before it happened.
        "event_publication_time": at_ms,
        "event_session_id": _uuid(site_id, "visit", row.visit_id),
        "curb_space_id": _uuid(site_id, "berth", row.berth_id),
        "data_source_type": "camera",
        "data_source_device_id": _uuid(site_id, "device", row.device_id),
        "data_source_device_name": row.device_id,
    }
    if row.zone_id is not None:
        event["curb_zone_id"] = _uuid(site_id, "zone", row.zone_id)
    if row.lat is not None and row.lon is not None:
        event["event_location"] = {"type": "Point", "coordinates": [row.lon, row.lat]}
    return event


def _envelope(connection: Connection, site_id: str, now_ms: int, data: dict[str, Any]) -> dict[str, Any]:
    time_zone = connection.execute(select(sites.c.time_zone).where(sites.c.site_id == site_id)).scalar()
    if time_zone is None:
        raise Problem(
            "site-unknown", HTTPStatus.NOT_FOUND, "the site is gone", remedy="load it: edged-cloud load FILE"
        )
    return {
        "version": VERSION,
        "time_zone": time_zone,
        "last_updated": now_ms,
        "currency": "CNY",
        "data": data,
    }


def _uuid(site_id: str, kind: str, name: str) -> str:
    return str(uuid5(_NAMESPACE, f"{site_id}/{kind}/{name}"))
