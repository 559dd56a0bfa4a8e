"""Boxes get their credentials: an operator prints a one-time code, a technician types it at the pole.

A new enrolment under a known device id replaces the box: the old token and key end, history stays.
"""

from http import HTTPStatus

from sqlalchemy import Connection, select, update

from cloud_endpoint.base.errors import ConfigError, Problem
from cloud_endpoint.base.ids import fingerprint, new_code, new_token
from cloud_endpoint.base.urls import base_url_fault
from cloud_endpoint.database.engine import insert
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import devices, enrolment_codes, sites
from cloud_endpoint.poles.event_placement import MOST_NUMBERS
from cloud_endpoint.records import audit
from cloud_endpoint.street import berth_changes
from edged.wire import EnrolmentAnswer, EnrolmentRequest

MOST_TOKEN_LETTERS = 200  # what the table holds


def issue_code(connection: Connection, site_id: str, device_id: str, *, now_ms: int, lifetime_ms: int) -> str:
    """Return a one-time code for a pole of a loaded site; raises ConfigError."""
    berth_changes.require_device_id(device_id)
    if connection.execute(select(sites.c.site_id).where(sites.c.site_id == site_id)).first() is None:
        raise ConfigError(f"unknown site {site_id!r}; load it first: edged-cloud load FILE")
    known = connection.execute(select(devices.c.site_id).where(devices.c.device_id == device_id)).scalar()
    if known not in (None, site_id):
        raise ConfigError(f"device {device_id!r} belongs to site {known!r}; choose another device id")
    code = new_code()
    connection.execute(
        enrolment_codes.insert().values(
            code_sha256=fingerprint(code),
            site_id=site_id,
            device_id=device_id,
            expires_ms=now_ms + lifetime_ms,
        )
    )
    audit.append(connection, site_id, actor="cli", action="enrolment_code", subject=device_id, now_ms=now_ms)
    return code


def _require_usable(request: EnrolmentRequest) -> None:
    """Refuse what would make a pole that cannot be used; the code stays good. Raises Problem."""
    fault = base_url_fault(request.snapshot_url) if request.snapshot_url is not None else None
    if fault is not None:
        raise _unusable(
            "snapshot_url",
            f"{request.snapshot_url!r} {fault}",
            "correct snapshot_api.public_url at the pole, such as http://10.0.0.7:8090, or leave it out",
        )
    if (request.snapshot_url is None) != (request.snapshot_token is None):
        raise _unusable(
            "snapshot_token",
            "snapshot_url and snapshot_token come together: no pull works with one of them",
            "send both, or neither for a pole behind NAT",
        )
    if request.snapshot_token is not None and len(request.snapshot_token) > MOST_TOKEN_LETTERS:
        raise _unusable(
            "snapshot_token",
            f"it has {len(request.snapshot_token)} characters",
            f"send at most {MOST_TOKEN_LETTERS}",
        )
    if len(request.berths) > MOST_NUMBERS:
        raise _unusable(
            "berths",
            f"{len(request.berths)} berths for one pole",
            f"send at most {MOST_NUMBERS}, those that this pole watches",
        )


def _unusable(field: str, detail: str, remedy: str) -> Problem:
    return Problem("enrolment-unusable", HTTPStatus.UNPROCESSABLE_ENTITY, detail, field=field, remedy=remedy)


def enrol(work: Work, request: EnrolmentRequest) -> EnrolmentAnswer:
    """Trade the code for credentials; raises Problem."""
    code = enrolment_codes.c
    site_id = work.connection.execute(
        update(enrolment_codes)
        .where(
            code.code_sha256 == fingerprint(request.code.strip().upper()),
            code.device_id == request.device_id,
            code.used_ms.is_(None),
            code.expires_ms > work.now_ms,
        )
        .values(used_ms=work.now_ms)
        .returning(code.site_id)
    ).scalar()
    if site_id is None:
        raise Problem(
            "enrolment-code-refused",
            HTTPStatus.FORBIDDEN,
            "the code is unknown, used, expired, or was printed for another device",
            field="code",
            remedy="print a new one: edged-cloud enrol --device-id ID --site SITE",
        )
    _require_usable(request)
    foreign = berth_changes.adopt(work.connection, site_id, request.device_id, request.berths, work.now_ms)
    if foreign:
        raise Problem(
            "berth-of-another-pole",
            HTTPStatus.CONFLICT,
            f"registered for another pole: {', '.join(foreign)}",
            field="berths",
            remedy="correct the berth numbers at the pole, or move the berths: edged-cloud load FILE",
        )
    token = new_token()
    row = {
        "site_id": site_id,
        "token_sha256": fingerprint(token),
        "public_key": request.public_key,
        "snapshot_url": request.snapshot_url.rstrip("/") if request.snapshot_url else None,
        "snapshot_token": request.snapshot_token,
        "enrolled_ms": work.now_ms,
    }
    statement = insert(work.connection, devices).values(device_id=request.device_id, **row)
    work.connection.execute(statement.on_conflict_do_update(index_elements=["device_id"], set_=row))
    audit.append(
        work.connection,
        site_id,
        actor=request.device_id,
        action="enrolled",
        subject=request.device_id,
        now_ms=work.now_ms,
        public_key=request.public_key,
    )
    return EnrolmentAnswer(device_id=request.device_id, site_id=site_id, token=token)
