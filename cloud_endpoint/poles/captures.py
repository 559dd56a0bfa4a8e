"""Fresh pictures on request: asked of a pole, by pull or on its next sync, and judged when they come.

A snapshot counts only if the pole that owns the berth signed it, for our nonce, now, and from a
picture taken just before. Anything else is a failed capture, never a reading.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, func, select, update

from cloud_endpoint.base.clock import from_ms, to_ms
from cloud_endpoint.base.ids import new_id
from cloud_endpoint.database.engine import insert, padded
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import CAPTURE_ASKED, berths, captures, devices, readings, visits
from cloud_endpoint.poles.ingest import visit_of, write_visit
from cloud_endpoint.poles.visits import Sight, Visit, columns_of, with_reading
from edged.wire import BerthState, CaptureRequest, Snapshot
from edged.wire.signing import verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What a snapshot must show: who signed it, for which berth and nonce, and how old it may be."""

    device_id: str
    public_key: str
    berth_no: str
    nonce: str
    max_clock_skew_ms: int
    picture_max_age_ms: int | None  # None: the latest picture is asked for, however old


def refusal(snapshot: Snapshot, trust: Trust, now_ms: int) -> str | None:
    """Return why `snapshot` must not be believed, None when it may."""
    if snapshot.nonce != trust.nonce:
        return "answers another nonce: a replay"
    if snapshot.device_id != trust.device_id:
        return f"made by {snapshot.device_id}, asked of {trust.device_id}"
    if snapshot.berth_no != trust.berth_no:
        return f"shows berth {snapshot.berth_no}, asked for {trust.berth_no}"
    if not verify(snapshot, Ed25519PublicKey.from_public_bytes(bytes.fromhex(trust.public_key))):
        return "signature does not fit the key of the enrolment"
    signed_ms = to_ms(snapshot.signed_at)
    if abs(signed_ms - now_ms) > trust.max_clock_skew_ms:
        return f"signed {(now_ms - signed_ms) / 1000:.0f} s ago by the pole's clock; check its time sync"
    if trust.picture_max_age_ms is not None and snapshot.captured_at is not None:
        age_ms = signed_ms - to_ms(snapshot.captured_at)
        if not -1000 <= age_ms <= trust.picture_max_age_ms:
            return f"shows a picture of {age_ms / 1000:.0f} s before, a new one was asked for"
    elif trust.picture_max_age_ms is not None and snapshot.reading is not None:
        return "does not say when its picture was taken"
    return None


def request_capture(work: Work, order: Any, berth: Any) -> bool:
    """Ask the berth's pole for a new picture; returns False when no pole watches the berth."""
    pole = work.connection.execute(
        select(devices.c.snapshot_url).where(
            devices.c.device_id == berth.device_id, devices.c.site_id == order.site_id
        )
    ).one_or_none()
    if pole is None:
        return False
    expires_ms = work.now_ms + round(work.settings.poles.capture_lifetime_s * 1000)
    work.connection.execute(
        captures.insert().values(
            site_id=order.site_id,
            request_id=new_id("cap"),
            device_id=berth.device_id,
            berth_id=berth.berth_id,
            berth_no=berth.berth_no,
            order_id=order.order_id,
            submission=order.submissions,
            nonce=secrets.token_hex(16),
            state="asked",
            created_ms=work.now_ms,
            expires_ms=expires_ms,
            # Behind NAT there is nothing to pull; it is due again when it has expired unanswered.
            due_ms=work.now_ms if pole.snapshot_url else expires_ms,
            attempts=0,
        )
    )
    return True


def on_its_way(connection: Connection, order: Any) -> bool:
    """Tell whether a picture for the order's latest submission is still to come."""
    c = captures.c
    found = connection.execute(
        select(c.request_id).where(
            c.site_id == order.site_id,
            c.order_id == order.order_id,
            c.submission == order.submissions,
            CAPTURE_ASKED,
        )
    )
    return found.first() is not None


def most_closed(connection: Connection, order: Any, berth_ids: Iterable[str]) -> int:
    """Return how many pictures of one berth have come, or failed, for the order's latest submission.

    Of several berths it is the largest number.
    """
    c = captures.c
    closed = select(func.count()).where(
        c.site_id == order.site_id,
        c.order_id == order.order_id,
        c.submission == order.submissions,
        c.berth_id.in_(padded(berth_ids)),
        ~CAPTURE_ASKED,
    )
    return max(connection.execute(closed.group_by(c.berth_id)).scalars(), default=0)


def requests_for(work: Work, site_id: str, device_id: str) -> tuple[CaptureRequest, ...]:
    """Return the requests for a pole's sync answer: all of a pole that cannot be pulled.

    One that can be gets those that a pull has failed to bring.
    """
    c = captures.c
    rows = work.connection.execute(
        select(c.request_id, c.berth_no, c.nonce, c.expires_ms)
        .join(devices, devices.c.device_id == c.device_id)
        .where(
            c.site_id == site_id,
            c.device_id == device_id,
            CAPTURE_ASKED,
            c.expires_ms > work.now_ms,
            devices.c.snapshot_url.is_(None) | (c.attempts > 0),
        )
        .order_by(c.created_ms)
        .limit(32)
    )
    return tuple(
        CaptureRequest(
            request_id=row.request_id,
            berth_no=row.berth_no,
            nonce=row.nonce,
            expires_at=from_ms(row.expires_ms),
        )
        for row in rows
    )


def close(connection: Connection, capture: Any, state: str, error: str | None = None) -> bool:
    """Take a capture out of the queue; False when another worker or the pole itself was first."""
    c = captures.c
    result = connection.execute(
        update(captures)
        .where(c.site_id == capture.site_id, c.request_id == capture.request_id, CAPTURE_ASKED)
        .values(state=state, error=error[:300] if error else None)
    )
    return bool(result.rowcount)


def store_sight(work: Work, capture: Any, snapshot: Snapshot) -> Sight | None:
    """Store what a believed snapshot shows; returns the vehicle it saw, None for an empty berth.

    An unaccepted reading is kept in the history but does not displace what the pole sent before.
    """
    if snapshot.state == BerthState.VACANT:
        _found_vacant(work, capture)
    if snapshot.state != BerthState.OCCUPIED or snapshot.visit_id is None:
        return None
    reading = snapshot.reading
    captured_ms = to_ms(snapshot.captured_at) if snapshot.captured_at else work.now_ms
    v = visits.c
    row = work.connection.execute(
        select(visits).where(v.site_id == capture.site_id, v.visit_id == snapshot.visit_id)
    ).mappings()
    found = row.one_or_none()
    if found is not None and (found["device_id"], found["berth_id"]) != (
        capture.device_id,
        capture.berth_id,
    ):
        return None
    visit = visit_of(found) if found is not None else _first_seen(capture, snapshot.visit_id, work.now_ms)
    if reading is not None:
        work.connection.execute(
            insert(work.connection, readings)
            .values(
                site_id=capture.site_id,
                visit_id=snapshot.visit_id,
                reading_id=capture.request_id,
                source="snapshot",
                received_ms=work.now_ms,
                captured_ms=captured_ms,
                evidence_sha256=snapshot.evidence_sha256,
                **columns_of(reading),
            )
            .on_conflict_do_nothing()
        )
        if reading.accepted or visit.captured_ms is None:
            visit = with_reading(visit, reading, captured_ms, snapshot.evidence_sha256, read_ms=work.now_ms)
    write_visit(work.connection, capture.site_id, visit)
    if visit.ended_ms is not None:
        return None
    return Sight(
        visit_id=snapshot.visit_id,
        seen_ms=visit.seen_ms,
        plate=reading.plate if reading else None,
        characters=reading.characters if reading else (),
        accepted=reading.accepted if reading else False,
        captured_ms=captured_ms,
        fresh=True,
    )


def _found_vacant(work: Work, capture: Any) -> None:
    """Store that the berth is vacant now: a visit that the pole reported before has ended."""
    b = berths.c
    work.connection.execute(
        update(berths)
        .where(
            b.site_id == capture.site_id,
            b.berth_id == capture.berth_id,
            b.device_id == capture.device_id,
            b.state != BerthState.FAULT.value,  # only a sync ends an outage
        )
        .values(state=BerthState.VACANT.value, state_ms=work.now_ms)
    )


def _first_seen(capture: Any, visit_id: str, now_ms: int) -> Visit:
    return Visit(visit_id=visit_id, berth_id=capture.berth_id, device_id=capture.device_id, seen_ms=now_ms)
