"""`Idempotency-Key`: the same request sent twice is done once and answered alike."""

import hashlib
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from pydantic import BaseModel
from sqlalchemy import Connection, select, update

from cloud_endpoint.access.credentials import Credential
from cloud_endpoint.base.errors import Problem
from cloud_endpoint.database.engine import insert
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import idempotency

Answer = TypeVar("Answer", bound=BaseModel)


def answer_once(
    work: Work, who: Credential, key: str | None, request: str, kind: type[Answer], act: Callable[[], Answer]
) -> Answer:
    """Return `act()`, or what it returned when this key was first used by this credential.

    `request` tells one request from another; a key that comes with a different one is a Problem. A
    refused request leaves no trace: it may be corrected and sent with the same key.
    """
    if key is None:
        return act()
    request_sha256 = hashlib.sha256(request.encode()).hexdigest()
    own = {"site_id": who.site_id, "credential_id": who.credential_id, "key": key}
    mine = work.connection.execute(
        insert(work.connection, idempotency)
        .values(**own, request_sha256=request_sha256, created_ms=work.now_ms)
        .on_conflict_do_nothing()  # on PostgreSQL this waits for a twin that is under way
        .returning(idempotency.c.key)
    ).first()
    this = (
        (idempotency.c.site_id == who.site_id)
        & (idempotency.c.credential_id == who.credential_id)
        & (idempotency.c.key == key)
    )
    if mine is not None:
        answer = act()
        work.connection.execute(update(idempotency).where(this).values(answer=answer.model_dump(mode="json")))
        return answer
    before = work.connection.execute(select(idempotency).where(this)).one()
    if before.request_sha256 != request_sha256:
        raise Problem(
            "idempotency-key-reused",
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "this Idempotency-Key was used for another request",
            field="Idempotency-Key",
            remedy="use a new key for each request, and the old one only to repeat it",
        )
    return kind.model_validate(before.answer)


def is_repeated(connection: Connection, who: Credential, key: str | None) -> bool:
    """Tell whether this key has been answered before, so that a repetition is not charged twice."""
    i = idempotency.c
    query = select(i.key).where(i.site_id == who.site_id, i.credential_id == who.credential_id, i.key == key)
    return key is not None and connection.execute(query).first() is not None
