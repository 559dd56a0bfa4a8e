"""Evidence pictures: named by their hash, kept in the database so that each worker sees them."""

import hashlib
from http import HTTPStatus

from sqlalchemy import Connection

from cloud_endpoint.database import insert
from cloud_endpoint.errors import Problem
from cloud_endpoint.tables import evidence


def store(
    connection: Connection, site_id: str, device_id: str, sha256: str, body: bytes, now_ms: int
) -> None:
    """Keep a JPEG picture; raises Problem when it is none or not the one it claims to be."""
    if hashlib.sha256(body).hexdigest() != sha256:
        raise Problem(
            "evidence-hash",
            HTTPStatus.CONFLICT,
            "the picture does not have this SHA-256",
            field="sha256",
            remedy="send the file again, whole",
        )
    if not body.startswith(b"\xff\xd8"):
        raise Problem(
            "evidence-format",
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "not a JPEG picture",
            field="body",
            remedy="send image/jpeg",
        )
    connection.execute(
        insert(connection, evidence)
        .values(site_id=site_id, sha256=sha256, device_id=device_id, received_ms=now_ms, body=body)
        .on_conflict_do_nothing()
    )
