"""Curb Data Specification 1.1: events and sensor status of a site. Plates are left out.

Times are integer milliseconds, locations GeoJSON points; ids that must be UUIDs are derived from ours, so
that they are the same in every answer. Curbs are in `curbs`.
"""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import Connection, Select, and_, func, literal, select, union_all

from cloud_endpoint.base.clock import HOUR_MS, to_ms
from cloud_endpoint.base.errors import Problem
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import berths, devices, events, outages, sites, visits
from cloud_endpoint.street.outages import SILENT_MS

VERSION = "1.1.0"
PAGE = 1000
_NAMESPACE = uuid5(NAMESPACE_URL, "https://edged.example/cds")


def uuid_of(site_id: str, kind: str, name: str) -> str:
    """Return the UUID of one of our ids in every answer."""
    return str(uuid5(_NAMESPACE, f"{site_id}/{kind}/{name}"))


def envelope(work: Work, site_id: str, **data: Any) -> dict[str, Any]:
    """Return an answer of the standard around its data; raises Problem."""
    time_zone = work.connection.execute(select(sites.c.time_zone).where(sites.c.site_id == site_id)).scalar()
    if time_zone is None:
        raise Problem(
            "site-unknown", HTTPStatus.NOT_FOUND, "the site is gone", remedy="load it: edged-cloud load FILE"
        )
    return {
        "version": VERSION,
        "time_zone": time_zone,
        "last_updated": work.now_ms,
        "currency": "CNY",
        "data": data,
    }


def window_of(hour: str | None, now_ms: int) -> tuple[int, int]:
    """Return the begin and end of an hour of UTC, or of the last 60 minutes; raises Problem."""
    if hour is None:
        return now_ms - HOUR_MS, now_ms + 1
    try:
        begin_ms = to_ms(datetime.fromisoformat(f"{hour}:00:00+00:00"))
    except ValueError as exc:
        raise Problem(
            "request-invalid",
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{hour!r} is no hour of the calendar",
            field="event_time",
            remedy="give an hour of UTC as YYYY-MM-DDTHH",
        ) from exc
    return begin_ms, begin_ms + HOUR_MS


def berths_matching(connection: Connection, site_id: str, wanted: Mapping[str, UUID]) -> set[str] | None:
    """Return the berths that filters such as `curb_zone_id` leave; None: all.

    Ids are derived from ours and cannot be turned back: they are compared one by one.
    """
    if not wanted:
        return None
    b = berths.c
    rows = connection.execute(select(b.berth_id, b.zone_id).where(b.site_id == site_id))
    return {
        row.berth_id
        for row in rows
        if all(str(uuid) == _ids(site_id, row).get(name) for name, uuid in wanted.items())
    }


def _ids(site_id: str, row: Any) -> dict[str, str]:
    ids = {
        "curb_area_id": uuid_of(site_id, "area", site_id),
        "curb_space_id": uuid_of(site_id, "berth", row.berth_id),
    }
    if row.zone_id is not None:
        ids["curb_zone_id"] = uuid_of(site_id, "zone", row.zone_id)
    return ids


def events_in(
    work: Work, site_id: str, window_ms: tuple[int, int], places: set[str] | None, page: int
) -> tuple[list[dict[str, Any]], bool]:
    """Return a page of events of a window, newest first, and whether more follow.

    `park_start` and `park_end` are the begin and end of visits, `comms_lost` and `comms_restored` those of
    outages of poles and of the sensors of berths.
    """
    begin_ms, end_ms = window_ms
    parts = [
        _parked(site_id, "drive_in", "park_start", begin_ms, end_ms),
        _parked(site_id, "drive_out", "park_end", begin_ms, end_ms),
        *_interrupted(site_id, begin_ms, end_ms),
        *_under_way(site_id, work.now_ms),
    ]
    everything = union_all(*parts).subquery()
    e = everything.c
    query = select(everything).where(e.at_ms >= begin_ms, e.at_ms < end_ms)
    if places is not None:
        query = query.where(e.berth_id.in_(sorted(places)))
    query = query.order_by(e.at_ms.desc(), e.kind, e.name).limit(PAGE + 1).offset((page - 1) * PAGE)
    rows = work.connection.execute(query).all()
    b = berths.c
    located = work.connection.execute(
        select(b.berth_id, b.zone_id, b.lat, b.lon).where(
            b.site_id == site_id, b.berth_id.in_({row.berth_id for row in rows})
        )
    )
    places_by_id = {row.berth_id: row for row in located}
    events_of_page = [_event(site_id, row, places_by_id.get(row.berth_id)) for row in rows[:PAGE]]
    return events_of_page, len(rows) > PAGE


def _line(kind: str, at: Any, published: Any, device_id: Any, berth_id: Any, name: Any) -> list[Any]:
    return [
        literal(kind).label("kind"),
        at.label("at_ms"),
        published.label("published_ms"),
        device_id.label("device_id"),
        berth_id.label("berth_id"),
        name.label("name"),  # of the visit, or of what was out
    ]


def _parked(site_id: str, event_kind: str, kind: str, begin_ms: int, end_ms: int) -> Select[Any]:
    e, v = events.c, visits.c
    # Of several events of one visit, the one that says when it began or ended.
    decisive = v.started_ms if event_kind == "drive_in" else v.ended_ms
    return (
        select(*_line(kind, e.observed_ms, func.min(e.received_ms), e.device_id, v.berth_id, v.visit_id))
        .select_from(events)
        .join(visits, and_(v.site_id == e.site_id, v.visit_id == e.visit_id, decisive == e.observed_ms))
        .where(
            e.site_id == site_id,
            e.kind == event_kind,
            e.observed_ms >= begin_ms,
            e.observed_ms < end_ms,
        )
        .group_by(e.observed_ms, e.device_id, v.berth_id, v.visit_id)
    )


def _interrupted(site_id: str, begin_ms: int, end_ms: int) -> list[Select[Any]]:
    o = outages.c
    seen = [o.site_id == site_id, o.restored_ms >= begin_ms, o.lost_ms < end_ms]
    lost_of_pole = [*seen, o.berth_id == ""]
    return [
        select(
            *_line("comms_lost", o.lost_ms, o.lost_ms + SILENT_MS, o.device_id, o.berth_id, o.device_id)
        ).where(*lost_of_pole),
        select(*_line("comms_lost", o.lost_ms, o.lost_ms, o.device_id, o.berth_id, o.berth_id)).where(
            *seen, o.berth_id != ""
        ),
        select(
            *_line(
                "comms_restored",
                o.restored_ms,
                o.restored_ms,
                o.device_id,
                o.berth_id,
                o.device_id + o.berth_id,
            )
        ).where(*seen),
    ]


def _under_way(site_id: str, now_ms: int) -> list[Select[Any]]:
    d, b = devices.c, berths.c
    since = d.last_sync_ms
    return [
        select(*_line("comms_lost", since, since + SILENT_MS, d.device_id, literal(""), d.device_id)).where(
            d.site_id == site_id, d.last_sync_ms <= now_ms - SILENT_MS
        ),
        select(*_line("comms_lost", b.state_ms, b.state_ms, b.device_id, b.berth_id, b.berth_id)).where(
            b.site_id == site_id, b.state == "fault", b.device_id.is_not(None)
        ),
    ]


def _event(site_id: str, row: Any, place: Any) -> dict[str, Any]:
    event: dict[str, Any] = {
        "event_id": uuid_of(site_id, row.kind, f"{row.name}/{row.at_ms}"),
        "event_type": row.kind,
        "event_time": row.at_ms,
        "event_publication_time": max(row.published_ms, row.at_ms),
        **source(site_id, row.device_id, row.berth_id if row.kind.startswith("comms") else ""),
    }
    if row.kind.startswith("park"):
        event["event_session_id"] = uuid_of(site_id, "visit", row.name)
    else:
        event["sensor_status_is_commissioned"] = True
        event["sensor_status_is_online"] = row.kind == "comms_restored"
    if place is not None:
        ids = _ids(site_id, place)
        event |= {name: ids[name] for name in ("curb_space_id", "curb_zone_id") if name in ids}
        event["curb_area_ids"] = [ids["curb_area_id"]]
        if place.lat is not None and place.lon is not None:
            event["event_location"] = {"type": "Point", "coordinates": [place.lon, place.lat]}
    return event


def source(site_id: str, device_id: str, berth_id: str = "") -> dict[str, Any]:
    """Return who saw it: the pole with its camera, or the sensor of one berth."""
    if berth_id:
        return {
            "data_source_type": "other",  # in the ground or above it: poles do not say
            "data_source_device_id": uuid_of(site_id, "sensor", berth_id),
        }
    return {
        "data_source_type": "camera",
        "data_source_device_id": uuid_of(site_id, "device", device_id),
        "data_source_device_name": device_id,
    }


def sensor_statuses(work: Work, site_id: str, places: set[str] | None) -> list[dict[str, Any]]:
    """Return the state of the site's poles and of the sensors of their berths."""
    d, b = devices.c, berths.c
    rows = work.connection.execute(
        select(d.device_id, d.last_sync_ms, b.berth_id, b.state, b.in_service)
        .outerjoin(berths, (b.site_id == d.site_id) & (b.device_id == d.device_id))
        .where(d.site_id == site_id)
        .order_by(d.device_id, b.berth_id)
    )
    statuses: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        if places is not None and row.berth_id not in places:
            continue
        heard = row.last_sync_ms is not None and work.now_ms - row.last_sync_ms < SILENT_MS
        statuses["pole", row.device_id] = _status(
            source(site_id, row.device_id), commissioned=True, online=heard
        )
        if row.berth_id is not None:
            statuses["sensor", row.berth_id] = _status(
                source(site_id, row.device_id, row.berth_id),
                commissioned=row.in_service,
                online=heard and row.state not in ("fault", "unknown"),
            )
    return list(statuses.values())


def _status(seen_by: dict[str, Any], *, commissioned: bool, online: bool) -> dict[str, Any]:
    return {
        "data_source_device_id": seen_by["data_source_device_id"],
        "data_source_type": seen_by["data_source_type"],
        "sensor_status_is_commissioned": commissioned,
        "sensor_status_is_online": online,
    }
