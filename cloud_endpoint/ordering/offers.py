"""Berth number acquisition: an order is opened for a place, and candidate berths are offered."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from http import HTTPStatus
from math import cos, radians
from typing import Any
from zlib import crc32

from sqlalchemy import Connection, delete, select

from cloud_endpoint.base.clock import from_ms
from cloud_endpoint.base.errors import Problem
from cloud_endpoint.base.ids import fingerprint, new_id
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import berths, credentials, order_candidates
from cloud_endpoint.ordering import orders as order_book
from cloud_endpoint.ordering.candidates import FEWEST_CANDIDATES, MOST_CANDIDATES, Kerbside, choose
from cloud_endpoint.ordering.messages import (
    BerthNumberAcquisition,
    Candidate,
    CandidateBerths,
    Place,
    Position,
)
from cloud_endpoint.ordering.order import Order, advance
from cloud_endpoint.ordering.states import INSTRUCTIONS, OrderEvent, OrderState
from cloud_endpoint.street.distance import METRES_PER_DEGREE, distance_m

OFFERED = "offered"
NEARBY_BERTHS = 1000  # more than any place needs; bounds the work of one request


def open_order(work: Work, site_id: str, credential_id: str, request: BerthNumberAcquisition) -> Order:
    """Store and return a draft order; the place is looked up when candidates are asked for."""
    expires_ms = work.now_ms + round(work.settings.orders.lifetime_s * 1000)
    order = Order(
        site_id=site_id,
        order_id=new_id("ord"),
        credential_id=credential_id,
        account_id=request.account_id,
        client_id=request.client_id,
        place=request.place.model_dump(exclude_none=True),
        state=OrderState.DRAFT,
        reason=None,
        created_ms=work.now_ms,
        expires_ms=expires_ms,
        due_ms=expires_ms,
    )
    order_book.create(work.connection, order)
    return order


def zone_of(work: Work, site_id: str, place: Place) -> str:
    """Return the zone an order counts against; raises Problem for a place without berths."""
    return berths_near(work.connection, site_id, place, work.settings.limits.near_m)[0].zone_id or "none"


def offer(work: Work, order: Order, *, elsewhere: bool = False) -> CandidateBerths:
    """Offer the order's candidate berths, with new tokens; raises Problem, IllegalEvent.

    Asked again at once, or for berths `elsewhere`, an order with more of them near it sees the next ones;
    asked to correct a plate, it sees the same.
    """
    if order.offers >= work.settings.limits.offers_per_order:
        raise Problem(
            "too-many-offers",
            HTTPStatus.TOO_MANY_REQUESTS,
            f"this order has been offered berths {order.offers} times",
            remedy="choose one of the berths offered, or open a new order",
        )
    changed = advance(order, OrderEvent.OFFER, now_ms=work.now_ms, reason=OFFERED, offers=order.offers + 1)
    place = Place.model_validate(order.place)
    near = berths_near(work.connection, order.site_id, place, work.settings.limits.near_m)
    of_order = (order_candidates.c.site_id == order.site_id) & (order_candidates.c.order_id == order.order_id)
    shown = set(work.connection.execute(select(order_candidates.c.berth_id).where(of_order)).scalars())
    chosen = choose(
        near,
        # In a zone the driver may be anywhere: each order begins at another window.
        first=crc32(order.order_id.encode()) if place.zone is not None else 0,
        shown=shown,
        further=elsewhere or order.reason == OFFERED,
    )
    expires_ms = min(work.now_ms + round(work.settings.orders.candidate_lifetime_s * 1000), order.expires_ms)
    secret = _secret_of(work.connection, order)
    work.connection.execute(delete(order_candidates).where(of_order))
    work.connection.execute(
        order_candidates.insert().values(
            [
                {
                    "site_id": order.site_id,
                    "order_id": order.order_id,
                    "token_sha256": fingerprint(_token(secret, changed, berth.berth_id)),
                    "berth_id": berth.berth_id,
                    "expires_ms": expires_ms,
                }
                for berth in chosen
            ]
        )
    )
    return _candidate_berths(order_book.save(work, changed), secret, chosen, expires_ms)


def latest_offer(connection: Connection, order: Order) -> CandidateBerths:
    """Return the order's latest candidate berths with the same tokens; raises Problem when there are none."""
    c = order_candidates.c
    rows = connection.execute(
        select(*_BERTH, c.expires_ms)
        .join(order_candidates, (c.site_id == berths.c.site_id) & (c.berth_id == berths.c.berth_id))
        .where(c.site_id == order.site_id, c.order_id == order.order_id)
        .order_by(berths.c.zone_id, berths.c.kerb_order, berths.c.berth_no)
    ).all()
    if not rows:
        raise _unknown_place()
    return _candidate_berths(
        order, _secret_of(connection, order), [_kerbside(row) for row in rows], rows[0].expires_ms
    )


def _candidate_berths(
    order: Order, secret: str, chosen: Sequence[Kerbside], expires_ms: int
) -> CandidateBerths:
    instruction = INSTRUCTIONS[OrderState.OFFERED]
    assert instruction is not None
    return CandidateBerths(
        order_id=order.order_id,
        state=order.state,
        instruction=instruction,
        candidates=tuple(
            Candidate(berth_no=berth.berth_no, token=_token(secret, order, berth.berth_id))
            for berth in chosen
        ),
        expires_at=from_ms(expires_ms),
    )


def _secret_of(connection: Connection, order: Order) -> str:
    c = credentials.c
    query = select(c.signing_secret).where(c.credential_id == order.credential_id)
    return str(connection.execute(query).scalar_one())


def _token(secret: str, order: Order, berth_id: str) -> str:
    """Return a berth's token in this offer: not to be guessed, and valid for this order only."""
    text = f"candidate {order.order_id} {order.offers} {berth_id}"
    return urlsafe_b64encode(hmac.digest(secret.encode(), text.encode(), "sha256")).decode().rstrip("=")


def berths_near(connection: Connection, site_id: str, place: Place, near_m: float) -> list[Kerbside]:
    """Return the berths of a place that are in service, nearest first; raises Problem when they are too few.

    A place with fewer than five is padded with its neighbours along the kerb.
    """
    rows = list(connection.execute(_near(site_id, place, near_m)).all())
    if (here := place.position) is not None:
        rows = [row for row in rows if _distance(here, row) <= near_m]
        rows.sort(key=lambda row: (_distance(here, row), row.kerb_order))
    if 0 < len(rows) < MOST_CANDIDATES:
        rows += _neighbours(connection, site_id, rows)[: MOST_CANDIDATES - len(rows)]
    if len(rows) < FEWEST_CANDIDATES:
        raise _unknown_place()
    return [_kerbside(row) for row in rows]


def _kerbside(row: Any) -> Kerbside:
    return Kerbside(
        berth_id=row.berth_id, berth_no=row.berth_no, zone_id=row.zone_id, kerb_order=row.kerb_order
    )


_BERTH = (
    berths.c.berth_id,
    berths.c.berth_no,
    berths.c.zone_id,
    berths.c.kerb_order,
    berths.c.lat,
    berths.c.lon,
)


def _near(site_id: str, place: Place, near_m: float) -> Any:
    b = berths.c
    query = (
        select(*_BERTH)
        .where(b.site_id == site_id, b.in_service)
        .order_by(b.zone_id, b.kerb_order, b.berth_no)
        .limit(NEARBY_BERTHS)
    )
    if place.pole_code is not None:
        return query.where(b.pole_code == place.pole_code)
    if place.zone is not None:
        return query.where(b.zone_id == place.zone)
    assert place.position is not None  # Place has exactly one
    lat, lon = place.position.lat, place.position.lon
    high = near_m / METRES_PER_DEGREE
    wide = high / max(cos(radians(lat)), 0.01)  # a degree of longitude is shorter there
    return query.where(b.lat.between(lat - high, lat + high), b.lon.between(lon - wide, lon + wide))


def _neighbours(connection: Connection, site_id: str, rows: Sequence[Any]) -> list[Any]:
    """Return what lies on both sides of a short stretch of kerb, in its zone, nearest first."""
    b = berths.c
    zone_id = rows[0].zone_id
    if zone_id is None:
        return []
    own = {row.berth_id for row in rows}
    orders = [row.kerb_order for row in rows if row.zone_id == zone_id]
    first, last = min(orders), max(orders)
    found = connection.execute(
        select(*_BERTH).where(
            b.site_id == site_id,
            b.in_service,
            b.zone_id == zone_id,
            b.kerb_order.between(first - MOST_CANDIDATES, last + MOST_CANDIDATES),
        )
    )
    others = [row for row in found if row.berth_id not in own]
    return sorted(others, key=lambda row: (max(first - row.kerb_order, row.kerb_order - last), row.berth_no))


def _distance(position: Position, row: Any) -> float:
    return distance_m(position.lat, position.lon, row.lat, row.lon)


def is_near(position: Position | None, lat: float | None, lon: float | None, near_m: float) -> bool:
    """Tell whether a phone's position is near a berth's."""
    if position is None or lat is None or lon is None:
        return False
    return distance_m(position.lat, position.lon, lat, lon) <= near_m


def _unknown_place() -> Problem:
    return Problem(
        "place-unknown",
        HTTPStatus.NOT_FOUND,
        "there are not enough berths at this place",
        field="place",
        remedy="read the code on the pole again, or give a position nearer to the berth",
    )
