"""Evidence pictures: named by their hash, kept in the database so that each worker sees them."""

import hashlib
from http import HTTPStatus

from sqlalchemy import Connection, delete, select

from cloud_endpoint.base.errors import Problem
from cloud_endpoint.database.engine import insert
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import evidence, wanted_pictures
from cloud_endpoint.poles.jpeg import is_jpeg

MOST_WANTED = 8  # in one sync answer


def store(work: Work, site_id: str, device_id: str, sha256: str, body: bytes) -> None:
    """Keep a JPEG picture that this pole was asked for; raises Problem for any other.

    One that is here already changes nothing: pictures are pulled and uploaded at the same time.
    """
    if hashlib.sha256(body).hexdigest() != sha256:
        raise Problem(
            "evidence-hash",
            HTTPStatus.CONFLICT,
            "the picture does not have this SHA-256",
            field="sha256",
            remedy="send the file again, whole",
        )
    if not is_jpeg(body):
        raise Problem(
            "evidence-format",
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "not a whole JPEG picture",
            field="body",
            remedy="send image/jpeg, from its start to its end",
        )
    e, w = evidence.c, wanted_pictures.c
    if work.connection.execute(select(e.sha256).where(e.site_id == site_id, e.sha256 == sha256)).first():
        return
    wanted = select(w.sha256).where(w.site_id == site_id, w.sha256 == sha256, w.device_id == device_id)
    if work.connection.execute(wanted).first() is None:
        raise Problem(
            "evidence-unwanted",
            HTTPStatus.CONFLICT,
            f"{device_id} was not asked for this picture, or it is not needed any more",
            field="sha256",
            remedy="upload what a sync answer lists in wanted_evidence, and drop this one",
        )
    work.connection.execute(
        insert(work.connection, evidence)
        .values(site_id=site_id, sha256=sha256, device_id=device_id, received_ms=work.now_ms, body=body)
        .on_conflict_do_nothing()
    )
    work.connection.execute(
        delete(wanted_pictures).where(
            wanted_pictures.c.site_id == site_id, wanted_pictures.c.sha256 == sha256
        )
    )


def wanted_from(connection: Connection, site_id: str, device_id: str) -> tuple[str, ...]:
    """Return the hashes of pictures that a pole shall upload with its sync.

    The latest come first: an operator waits for them, and the pole may have deleted the old ones.
    """
    w = wanted_pictures.c
    rows = connection.execute(
        select(w.sha256)
        .where(w.site_id == site_id, w.device_id == device_id)
        .order_by(w.attempts, w.due_ms.desc(), w.sha256)
        .limit(MOST_WANTED)
    )
    return tuple(rows.scalars())


def load(connection: Connection, site_id: str, sha256: str | None) -> bytes:
    """Return a stored picture; raises Problem."""
    e = evidence.c
    found = connection.execute(select(e.body).where(e.site_id == site_id, e.sha256 == sha256)).scalar()
    if found is None:
        raise Problem(
            "picture-missing",
            HTTPStatus.NOT_FOUND,
            "the picture is not here: still at the pole, or its time of keeping is over",
            remedy="wait for the pole's next sync",
        )
    return bytes(found)
