"""Berth number acquisition: an order is opened for a place, and candidate berths are offered."""

import random
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from sqlalchemy import Connection, and_, delete, or_, select

from cloud_endpoint import orders as order_book
from cloud_endpoint.candidates import (
    FEWEST_CANDIDATES,
    METRES_PER_DEGREE,
    MOST_CANDIDATES,
    Kerbside,
    choose,
    distance_m,
)
from cloud_endpoint.clock import from_ms
from cloud_endpoint.errors import Problem
from cloud_endpoint.ids import fingerprint, new_id, new_token
from cloud_endpoint.messages import BerthNumberAcquisition, Candidate, CandidateBerths, Place, Position
from cloud_endpoint.order_states import INSTRUCTIONS, OrderEvent, OrderState
from cloud_endpoint.orders import Order, advance
from cloud_endpoint.settings import CloudSettings
from cloud_endpoint.tables import berths, holds, order_candidates, visits

NEARBY_BERTHS = 200  # more than any place needs; bounds the work of one request


def open_order(
    connection: Connection,
    site_id: str,
    credential_id: str,
    request: BerthNumberAcquisition,
    settings: CloudSettings,
    now_ms: int,
) -> Order:
    """Store and return a draft order; the place is looked up when candidates are asked for."""
    expires_ms = now_ms + round(settings.orders.lifetime_s * 1000)
    order = Order(
        site_id=site_id,
        order_id=new_id("ord"),
        credential_id=credential_id,
        account_id=request.account_id,
        client_id=request.client_id,
        place=request.place.model_dump(exclude_none=True),
        state=OrderState.DRAFT,
        reason=None,
        created_ms=now_ms,
        expires_ms=expires_ms,
        due_ms=expires_ms,
    )
    order_book.create(connection, order)
    return order


def zone_of(connection: Connection, site_id: str, place: Place, near_m: float) -> str:
    """Return the zone an order counts against; raises Problem for a place without berths."""
    query = _near(site_id, place, near_m).with_only_columns(berths.c.zone_id).limit(1)
    row = connection.execute(query).first()
    if row is None:
        raise _unknown_place()
    return row.zone_id or "none"


def offer(
    connection: Connection, order: Order, settings: CloudSettings, now_ms: int, rng: random.Random
) -> CandidateBerths:
    """Offer the order's candidate berths, with new tokens; raises Problem, IllegalEvent."""
    if order.offers >= settings.limits.offers_per_order:
        raise Problem(
            "too-many-offers",
            HTTPStatus.TOO_MANY_REQUESTS,
            f"this order has been offered berths {order.offers} times",
            remedy="choose one of the berths offered, or open a new order",
        )
    changed = advance(order, OrderEvent.OFFER, now_ms=now_ms, reason="offered", offers=order.offers + 1)
    near = nearby(
        connection, order.site_id, Place.model_validate(order.place), settings.limits.near_m, now_ms
    )
    chosen = choose(near, rng)
    if len(chosen) < FEWEST_CANDIDATES:
        raise _unknown_place()
    expires_ms = min(now_ms + round(settings.orders.candidate_lifetime_s * 1000), order.expires_ms)
    tokens = [new_token() for _ in chosen]
    of_order = (order_candidates.c.site_id == order.site_id) & (order_candidates.c.order_id == order.order_id)
    connection.execute(delete(order_candidates).where(of_order))
    connection.execute(
        order_candidates.insert().values(
            [
                {
                    "site_id": order.site_id,
                    "order_id": order.order_id,
                    "token_sha256": fingerprint(token),
                    "berth_id": berth.berth_id,
                    "expires_ms": expires_ms,
                }
                for token, berth in zip(tokens, chosen, strict=True)
            ]
        )
    )
    order_book.save(connection, changed)
    instruction = INSTRUCTIONS[changed.state]
    assert instruction is not None  # every state that OFFER leads to has one
    return CandidateBerths(
        order_id=order.order_id,
        state=changed.state,
        instruction=instruction,
        candidates=tuple(
            Candidate(berth_no=berth.berth_no, token=token)
            for token, berth in zip(tokens, chosen, strict=True)
        ),
        expires_at=from_ms(expires_ms),
    )


def nearby(connection: Connection, site_id: str, place: Place, near_m: float, now_ms: int) -> list[Kerbside]:
    """Return the berths of a place; a pole with too few is padded with its neighbours along the kerb."""
    rows = connection.execute(_near(site_id, place, near_m)).all()
    if not rows:
        raise _unknown_place()
    if len(rows) < MOST_CANDIDATES and rows[0].zone_id is not None:
        rows = _with_neighbours(connection, site_id, rows)
    wanted = _wanted(connection, site_id, [row.berth_id for row in rows], now_ms)
    return [
        Kerbside(
            berth_id=row.berth_id,
            berth_no=row.berth_no,
            zone_id=row.zone_id,
            kerb_order=row.kerb_order,
            distance_m=_distance(place, row),
            wanted=row.berth_id in wanted,
        )
        for row in rows
    ]


def _near(site_id: str, place: Place, near_m: float) -> Any:
    b = berths.c
    query = (
        select(b.berth_id, b.berth_no, b.zone_id, b.kerb_order, b.lat, b.lon)
        .where(b.site_id == site_id, b.in_service)
        .limit(NEARBY_BERTHS)
    )
    if place.pole_code is not None:
        return query.where(b.pole_code == place.pole_code)
    if place.zone is not None:
        return query.where(b.zone_id == place.zone)
    assert place.position is not None  # Place has exactly one
    south = place.position.lat - near_m / METRES_PER_DEGREE
    north = place.position.lat + near_m / METRES_PER_DEGREE
    # Far from the equator a degree of longitude is shorter; the exact distance decides below.
    west, east = (place.position.lon + side * near_m / METRES_PER_DEGREE * 3 for side in (-1, 1))
    return query.where(b.lat.between(south, north), b.lon.between(west, east))


def _with_neighbours(connection: Connection, site_id: str, rows: Sequence[Any]) -> list[Any]:
    """Widen a short stretch of kerb to both sides, in its zone."""
    b = berths.c
    first, last = min(row.kerb_order for row in rows), max(row.kerb_order for row in rows)
    more = connection.execute(
        select(b.berth_id, b.berth_no, b.zone_id, b.kerb_order, b.lat, b.lon).where(
            b.site_id == site_id,
            b.in_service,
            b.zone_id == rows[0].zone_id,
            b.kerb_order.between(first - MOST_CANDIDATES, last + MOST_CANDIDATES),
        )
    ).all()
    own = {row.berth_id for row in rows}
    others = [row for row in more if row.berth_id not in own]
    others.sort(key=lambda row: max(first - row.kerb_order, row.kerb_order - last))
    return [*rows, *others[: MOST_CANDIDATES - len(rows)]]


def _wanted(connection: Connection, site_id: str, berth_ids: list[str], now_ms: int) -> set[str]:
    """Return the berths where a vehicle stands that no other order holds."""
    v, h = visits.c, holds.c
    latest = (
        select(v.visit_id)
        .where(v.site_id == site_id, v.berth_id == berths.c.berth_id)
        .order_by(v.seen_ms.desc())
        .limit(1)
        .correlate(berths)
        .scalar_subquery()
    )
    held = and_(h.site_id == site_id, h.berth_id == berths.c.berth_id, h.until_ms > now_ms)
    rows = connection.execute(
        select(berths.c.berth_id)
        .select_from(
            berths.join(visits, and_(v.site_id == site_id, v.visit_id == latest)).outerjoin(holds, held)
        )
        .where(
            berths.c.site_id == site_id,
            berths.c.berth_id.in_(berth_ids),
            v.ended_ms.is_(None),
            or_(h.order_id.is_(None), h.visit_id != v.visit_id),
        )
    )
    return set(rows.scalars())


def _distance(place: Place, row: Any) -> float:
    if place.position is None or row.lat is None or row.lon is None:
        return 0.0
    return distance_m(place.position.lat, place.position.lon, row.lat, row.lon)


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
