"""What people did, append-only: each line carries the hash of the one before.

No line holds a plate or a name: a person's data can be deleted without breaking the chain.
"""

import hashlib
import json
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, select, update

from cloud_endpoint.base.errors import CloudError
from cloud_endpoint.database.engine import insert
from cloud_endpoint.database.tables import audit, audit_heads

GENESIS = "0" * 64


class AuditBroken(CloudError):
    """The chain does not hold; the message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A chain that holds: its length, and the hash of its end, to be noted elsewhere."""

    lines: int
    last_number: int
    last_sha256: str


def append(
    connection: Connection,
    site_id: str,
    *,
    actor: str,
    action: str,
    subject: str,
    now_ms: int,
    **detail: Any,
) -> None:
    """Add a line to the site's chain, in the caller's transaction."""
    first = {"site_id": site_id, "number": 0, "sha256": GENESIS}
    connection.execute(
        insert(connection, audit_heads)
        .values(**first, first_number=1, first_previous_sha256=GENESIS)
        .on_conflict_do_nothing()
    )
    own = audit_heads.c.site_id == site_id
    head = connection.execute(
        select(audit_heads.c.number, audit_heads.c.sha256).where(own).with_for_update()
    ).one()
    line = {
        "site_id": site_id,
        "number": head.number + 1,
        "at_ms": now_ms,
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail": detail,
        "previous_sha256": head.sha256,
    }
    sha256 = _hash(line)
    connection.execute(audit.insert().values(**line, sha256=sha256))
    connection.execute(update(audit_heads).where(own).values(number=head.number + 1, sha256=sha256))


def verify(connection: Connection, site_id: str) -> Verified:
    """Recompute the site's chain from its beginning to its head; raises AuditBroken."""
    head = connection.execute(select(audit_heads).where(audit_heads.c.site_id == site_id)).one_or_none()
    query = select(audit).where(audit.c.site_id == site_id).order_by(audit.c.number)
    number, previous, lines = (
        (head.first_number - 1, head.first_previous_sha256, 0) if head else (0, GENESIS, 0)
    )
    with closing(connection.execute(query.execution_options(yield_per=1000)).mappings()) as rows:
        for row in rows:
            if row["number"] != number + 1:
                raise AuditBroken(f"site {site_id}: line {number + 1} is missing")
            if row["previous_sha256"] != previous:
                raise AuditBroken(f"site {site_id}: line {row['number']} does not follow from the one before")
            line = {key: row[key] for key in row if key != "sha256"}
            if _hash(line) != row["sha256"]:
                raise AuditBroken(f"site {site_id}: line {row['number']} was changed")
            number, previous, lines = row["number"], row["sha256"], lines + 1
    if head is not None and (number, previous) != (head.number, head.sha256):
        raise AuditBroken(f"site {site_id}: the chain ends at line {number}, it ended at line {head.number}")
    return Verified(lines=lines, last_number=number, last_sha256=previous)


def latest(connection: Connection, site_id: str, most: int) -> list[Any]:
    """Return the last lines of the site's chain, oldest first."""
    query = select(audit).where(audit.c.site_id == site_id).order_by(audit.c.number.desc()).limit(most)
    return list(reversed(connection.execute(query).all()))


def prune(connection: Connection, site_id: str, before_ms: int) -> int:
    """Forget the lines before a time, keeping the chain verifiable from there; returns how many."""
    a = audit.c
    own = (a.site_id == site_id) & (a.at_ms < before_ms)
    last = connection.execute(
        select(a.number, a.sha256).where(own).order_by(a.number.desc()).limit(1)
    ).one_or_none()
    if last is None:
        return 0
    connection.execute(
        update(audit_heads)
        .where(audit_heads.c.site_id == site_id)
        .values(first_number=last.number + 1, first_previous_sha256=last.sha256)
    )
    return connection.execute(delete(audit).where(a.site_id == site_id, a.number <= last.number)).rowcount


def _hash(line: dict[str, Any]) -> str:
    text = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
