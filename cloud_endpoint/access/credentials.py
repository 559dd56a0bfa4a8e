"""Credentials of terminals, operators and poles: each role has its own, valid for no other role."""

import re
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select, update

from cloud_endpoint.base.errors import ConfigError, Problem
from cloud_endpoint.base.ids import fingerprint, matches, new_token
from cloud_endpoint.base.urls import url_fault
from cloud_endpoint.database.tables import credentials, devices, sites
from cloud_endpoint.records import audit

_NAME = re.compile(r"[0-9A-Za-z_-]{1,64}")


class Role(StrEnum):
    """What a credential is for."""

    TERMINAL = "terminal"  # an app that drivers order with
    OPERATOR = "operator"  # the people who run the street


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """An authenticated terminal or operator."""

    credential_id: str
    site_id: str
    role: Role


def unauthorised(remedy: str) -> Problem:
    """Return the one answer for all that is wrong with a token."""
    return Problem(
        "not-authorised",
        HTTPStatus.UNAUTHORIZED,
        "the bearer token is missing, unknown or revoked",
        field="Authorization",
        remedy=remedy,
    )


def authenticate(connection: Connection, token: str, role: Role) -> Credential:
    """Return whose token this is; raises Problem. Tokens look like `id.secret`."""
    row = connection.execute(select(*COLUMNS).where(claimed_by(token))).one_or_none()
    return verified(row, token, role)


COLUMNS = (
    credentials.c.credential_id,
    credentials.c.site_id,
    credentials.c.role,
    credentials.c.token_sha256,
)


def claimed_by(token: str) -> ColumnElement[bool]:
    """Return the condition for the row of the credential that a token claims to be."""
    return and_(credentials.c.credential_id == token.partition(".")[0], credentials.c.revoked_ms.is_(None))


def verified(row: Any, token: str, role: Role) -> Credential:
    """Return the credential of a row with `COLUMNS` if the token is really its own; raises Problem."""
    if row is None or not matches(token, row.token_sha256):
        raise unauthorised(f"create one: edged-cloud {role} add --site SITE --name NAME")
    if row.role != role:
        raise Problem(
            "wrong-role",
            HTTPStatus.FORBIDDEN,
            f"this is the credential of a {row.role}; a {role}'s is needed",
            field="Authorization",
            remedy=f"create one: edged-cloud {role} add --site SITE --name NAME",
        )
    return Credential(credential_id=row.credential_id, site_id=row.site_id, role=role)


def authenticate_device(connection: Connection, device_id: str, token: str, *, lock: bool = False) -> Any:
    """Return the row of an enrolled pole; raises Problem."""
    query = select(devices).where(devices.c.device_id == device_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None or not matches(token, row.token_sha256):
        raise unauthorised("enrol the device again: edged-cloud enrol --device-id ID --site SITE")
    return row


def add_credential(
    connection: Connection, site_id: str, role: Role, name: str, now_ms: int, webhook_url: str | None = None
) -> tuple[str, str]:
    """Create a credential; returns its token and its signing secret, both shown once. Raises ConfigError."""
    if not _NAME.fullmatch(name):
        # A dot ends the name in a token; the name is also part of the callback's path.
        raise ConfigError(f"name {name!r}: use 1 to 64 letters, digits, _ and -")
    if connection.execute(select(sites.c.site_id).where(sites.c.site_id == site_id)).first() is None:
        raise ConfigError(f"unknown site {site_id!r}; load it first: edged-cloud load FILE")
    taken = select(credentials.c.credential_id).where(credentials.c.credential_id == name)
    if connection.execute(taken).first() is not None:
        raise ConfigError(f"the name {name!r} is taken; choose another, or revoke it first")
    fault = url_fault(webhook_url) if webhook_url is not None else None
    if fault is not None:
        raise ConfigError(
            f"webhook URL {webhook_url!r}: {fault}; give a whole one, such as https://app.example/hooks"
        )
    token = f"{name}.{new_token()}"
    secret = new_token()
    connection.execute(
        credentials.insert().values(
            credential_id=name,
            site_id=site_id,
            role=role,
            token_sha256=fingerprint(token),
            signing_secret=secret,
            webhook_url=webhook_url,
            created_ms=now_ms,
        )
    )
    audit.append(
        connection, site_id, actor="cli", action="credential_added", subject=name, now_ms=now_ms, role=role
    )
    return token, secret


def revoke_credential(connection: Connection, name: str, now_ms: int) -> None:
    """End a credential; raises ConfigError when there is none."""
    c = credentials.c
    site_id = connection.execute(
        update(credentials)
        .where(c.credential_id == name, c.revoked_ms.is_(None))
        .values(revoked_ms=now_ms)
        .returning(c.site_id)
    ).scalar()
    if site_id is None:
        raise ConfigError(f"there is no credential {name!r} that could be revoked")
    audit.append(connection, site_id, actor="cli", action="credential_revoked", subject=name, now_ms=now_ms)
