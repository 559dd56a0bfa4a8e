"""The plate check at work: a pre-payment order comes in, is decided now or when the pole has looked again.

Only this module writes what `checking.decide` decided. An order's row is locked first, then the berth's
hold: everywhere in this order, so that two of them never wait for each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from http import HTTPStatus
from typing import Any

from sqlalchemy import Column, Connection, bindparam, or_, select

from cloud_endpoint import captures, orders, webhooks
from cloud_endpoint.access import COLUMNS, Role, authenticate, checked
from cloud_endpoint.checking import Claim, Decision, Sight, decide
from cloud_endpoint.database import insert_of, padded
from cloud_endpoint.errors import Problem
from cloud_endpoint.ids import fingerprint
from cloud_endpoint.messages import Place, PrePaymentOrder
from cloud_endpoint.offers import is_near
from cloud_endpoint.order_states import OrderEvent, OrderState, step
from cloud_endpoint.orders import Order, advance
from cloud_endpoint.review_queue import open_review
from cloud_endpoint.settings import CloudSettings
from cloud_endpoint.tables import berths, credentials, holds, order_candidates, visits
from cloud_endpoint.tables import orders as orders_table
from edged.domain.plate import PlateError, parse_plate

# News of a berth decide its orders at once. These looks are for news that a dying worker left undecided.
CONFIRMED_LOOK_MS = 5 * 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Berth:
    """What a check needs to know of a berth."""

    berth_id: str
    berth_no: str
    device_id: str | None
    pole_code: str | None
    lat: float | None
    lon: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A berth and the vehicle in it."""

    berth: Berth
    sight: Sight | None


def submit(
    connection: Connection,
    token: str,
    order_id: str,
    request: PrePaymentOrder,
    settings: CloudSettings,
    now_ms: int,
) -> Order:
    """Take a terminal's second plate and decide; raises Problem, IllegalEvent."""
    order, scene = _locked(connection, token, order_id, request, now_ms)
    plate = _parsed(request.plate)
    if now_ms >= order.expires_ms:
        raise _expired()
    submitted = advance(
        order,
        OrderEvent.SUBMIT,
        now_ms=now_ms,
        reason="submitted",
        plate=plate,
        minutes=request.minutes,
        berth_id=scene.berth.berth_id,
        visit_id=None,
        submitted_ms=now_ms,
        submissions=order.submissions + 1,
        captures=0,
    )
    _require_presence(order, request, scene.berth, settings)
    return _judge(connection, submitted, scene, settings, now_ms, on_its_way=False)


def _parsed(text: str) -> str:
    try:
        return parse_plate(text)
    except PlateError as exc:
        raise Problem(
            "plate-impossible",
            HTTPStatus.UNPROCESSABLE_ENTITY,
            str(exc),
            field="plate",
            remedy="enter the plate as written on the car, for example 京A12345",
        ) from exc


def resolve(
    connection: Connection,
    order: Order,
    settings: CloudSettings,
    now_ms: int,
    *,
    fresh: Sight | None = None,
    captured: bool = False,
) -> Order:
    """Look at a pending or confirmed order again; `fresh` is what a requested picture shows.

    `captured` counts an answered request, whatever it showed. `order` is locked.
    """
    after = _resolve(connection, order, settings, now_ms, fresh=fresh, captured=captured)
    webhooks.queue(connection, order, after, settings, now_ms)
    return after


def _resolve(
    connection: Connection,
    order: Order,
    settings: CloudSettings,
    now_ms: int,
    *,
    fresh: Sight | None,
    captured: bool,
) -> Order:
    if order.state not in (OrderState.PENDING, OrderState.CONFIRMED):
        return order
    scene = scene_of(connection, order.site_id, order.berth_id or "")
    if order.state is OrderState.CONFIRMED:
        return _watch(connection, order, scene, now_ms)
    if now_ms >= order.expires_ms:
        return orders.save(connection, advance(order, OrderEvent.EXPIRE, now_ms=now_ms, reason="too_late"))
    if captured:
        order = replace(order, captures=order.captures + 1)
    # A picture of another visit than the current one is history.
    if fresh is not None and scene.sight is not None and fresh.visit_id == scene.sight.visit_id:
        scene = Scene(berth=scene.berth, sight=fresh)
    on_its_way = captures.on_its_way(connection, order)
    return _judge(connection, order, scene, settings, now_ms, on_its_way=on_its_way)


def _judge(
    connection: Connection,
    order: Order,
    scene: Scene,
    settings: CloudSettings,
    now_ms: int,
    *,
    on_its_way: bool,
) -> Order:
    assert order.plate is not None  # a submitted order has one
    claim = Claim(
        plate=order.plate,
        captures=order.captures,
        capture_on_its_way=on_its_way,
        modifications=order.modifications,
    )
    decision = decide(claim, scene.sight, now_ms=now_ms, rules=settings.check.rules())
    changes: dict[str, Any] = {"visit_id": scene.sight.visit_id if scene.sight else None}
    if decision.event is OrderEvent.MATCH:
        until_ms = now_ms + round(settings.orders.hold_s * 1000)
        if _hold(connection, order, scene, until_ms, now_ms):
            changes |= {"hold_until_ms": until_ms, "due_ms": min(until_ms, now_ms + CONFIRMED_LOOK_MS)}
        else:
            decision = Decision(event=OrderEvent.WAIT, reason="berth_held")
    if decision.event is OrderEvent.MISMATCH:
        changes["modifications"] = order.modifications + 1
    if decision.event is OrderEvent.WAIT:
        changes["due_ms"] = min(order.expires_ms, now_ms + _look_again_ms(order, settings, now_ms))
    if decision.recapture:
        captures.ask(
            connection, order, scene.berth, submission=order.submissions, now_ms=now_ms, poles=settings.poles
        )
    if decision.event is OrderEvent.WAIT and (order.state, order.reason) == (
        OrderState.PENDING,
        decision.reason,
    ):
        return orders.save(connection, replace(order, **changes))  # no news: not worth a line
    order = orders.save(
        connection, advance(order, decision.event, now_ms=now_ms, reason=decision.reason, **changes)
    )
    if order.state is OrderState.REVIEW:
        open_review(connection, order, kind="check", reason=decision.reason, now_ms=now_ms)
    return order


def _look_again_ms(order: Order, settings: CloudSettings, now_ms: int) -> int:
    """Without any news an order is looked at the more rarely, the longer it has waited."""
    waited_ms = now_ms - (order.submitted_ms or now_ms)
    return max(round(settings.orders.look_again_s * 1000), waited_ms // 4)


def approve(connection: Connection, order: Order, settings: CloudSettings, now_ms: int) -> Order:
    """Confirm an order after review; raises Problem when the car is gone or another order holds the berth."""
    scene = scene_of(connection, order.site_id, order.berth_id or "")
    until_ms = now_ms + round(settings.orders.hold_s * 1000)
    if scene.sight is None or scene.sight.visit_id != order.visit_id:
        raise _cannot_approve("vehicle-left", "the vehicle of this order has left the berth")
    if not _hold(connection, order, scene, until_ms, now_ms):
        raise _cannot_approve("berth-held", "another order holds the berth for this vehicle")
    due_ms = min(until_ms, now_ms + CONFIRMED_LOOK_MS)
    approved = advance(
        order,
        OrderEvent.APPROVE,
        now_ms=now_ms,
        reason="approved",
        hold_until_ms=until_ms,
        due_ms=due_ms,
    )
    return orders.save(connection, approved)


def _cannot_approve(slug: str, detail: str) -> Problem:
    return Problem(
        slug, HTTPStatus.CONFLICT, detail, field="review_id", remedy="refuse the order, with this reason"
    )


def _watch(connection: Connection, order: Order, scene: Scene, now_ms: int) -> Order:
    """A confirmed order ends when the vehicle leaves or nobody pays in time."""
    assert order.hold_until_ms is not None
    if scene.sight is None or scene.sight.visit_id != order.visit_id:
        changed = advance(order, OrderEvent.LEAVE, now_ms=now_ms, reason="vehicle_left")
    elif now_ms >= order.hold_until_ms:
        changed = advance(order, OrderEvent.EXPIRE, now_ms=now_ms, reason="unpaid")
    else:
        changed = replace(order, due_ms=min(order.hold_until_ms, now_ms + CONFIRMED_LOOK_MS))
    return orders.save(connection, changed)


def expire(connection: Connection, order: Order, settings: CloudSettings, now_ms: int) -> Order:
    """Do what is due for an order by the clock alone. `order` is locked."""
    if order.state in (OrderState.PENDING, OrderState.CONFIRMED):
        return resolve(connection, order, settings, now_ms)
    if now_ms >= order.expires_ms and order.due_ms <= now_ms:
        return orders.save(connection, advance(order, OrderEvent.EXPIRE, now_ms=now_ms, reason="too_late"))
    return order


def open_orders(connection: Connection, site_id: str, berth_ids: Iterable[str]) -> list[str]:
    """Return the ids of the orders that wait for, or hold, one of these berths."""
    o = orders_table.c
    rows = connection.execute(
        select(o.order_id).where(
            o.site_id == site_id, o.berth_id.in_(padded(berth_ids)), o.state.in_(("pending", "confirmed"))
        )
    )
    return list(rows.scalars())


_SCENE: dict[str, Column[Any]] = {
    **{name: berths.c[name] for name in ("berth_id", "berth_no", "device_id", "pole_code", "lat", "lon")},
    **{
        name: visits.c[name]
        for name in ("visit_id", "seen_ms", "ended_ms", "plate", "characters", "accepted", "captured_ms")
    },
}


def scene_of(connection: Connection, site_id: str, berth_id: str) -> Scene:
    """Return a berth and the vehicle in it."""
    b, v = berths.c, visits.c
    query = (
        select(*_SCENE.values())
        .select_from(berths)
        .outerjoin(visits, (v.site_id == b.site_id) & (v.visit_id == latest_visit()))
        .where(b.site_id == site_id, b.berth_id == berth_id)
    )
    return _scene(dict(connection.execute(query).mappings().one()))


def latest_visit() -> Any:
    """Return the id of a berth's current visit, as a subquery beside `berths`."""
    v = visits.alias("latest")
    return (
        select(v.c.visit_id)
        .where(v.c.site_id == berths.c.site_id, v.c.berth_id == berths.c.berth_id)
        .order_by(v.c.seen_ms.desc())
        .limit(1)
        .correlate(berths)
        .scalar_subquery()
    )


def _scene(row: dict[str, Any]) -> Scene:
    sight = None
    if row["visit_id"] is not None and row["ended_ms"] is None:
        sight = Sight(
            visit_id=row["visit_id"],
            seen_ms=row["seen_ms"],
            plate=row["plate"],
            characters=tuple(row["characters"] or ()),
            accepted=row["accepted"],
            captured_ms=row["captured_ms"],
        )
    berth = Berth(**{name: row[name] for name in Berth.__slots__})
    return Scene(berth=berth, sight=sight)


def _locked(
    connection: Connection, token: str, order_id: str, request: PrePaymentOrder, now_ms: int
) -> tuple[Order, Scene]:
    """Return the terminal's order, locked, and the scene at the berth whose token this is.

    One query: the check is what drivers wait for. Raises Problem for whatever does not fit.
    """
    row = connection.execute(
        _submission(),
        {
            "credential_id": token.partition(".")[0],
            "order_id": order_id,
            "berth_token": fingerprint(request.berth_token),
        },
    ).one_or_none()
    if row is None:  # rare: find out what is wrong
        who = authenticate(connection, token, Role.TERMINAL)
        orders.load(connection, who.site_id, order_id, credential_id=who.credential_id, lock=False)
        raise Problem(
            "candidate-token-foreign",
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "this token was not offered to this order, or newer ones were",
            field="berth_token",
            remedy="use a token of this order's latest candidates",
        )
    checked(row, token, Role.TERMINAL)
    values = row._mapping
    order = Order.of({name: values[orders_table.c[name]] for name in orders.COLUMNS})
    if row.candidate_expires_ms <= now_ms:
        step(order.state, OrderEvent.SUBMIT)  # what can't be submitted at all is told first
        raise Problem(
            "candidate-token-stale",
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "this token has expired",
            field="berth_token",
            remedy="ask for candidates again: POST /v1/orders/{order_id}/candidates",
        )
    return order, _scene({name: values[column] for name, column in _SCENE.items()})


@cache
def _submission() -> Any:
    o, c, b, v = orders_table.c, order_candidates.c, berths.c, visits.c
    return (
        select(*COLUMNS, *orders_table.c, c.expires_ms.label("candidate_expires_ms"), *_SCENE.values())
        .select_from(credentials)
        .join(
            orders_table,
            (o.site_id == credentials.c.site_id) & (o.credential_id == credentials.c.credential_id),
        )
        .join(order_candidates, (c.site_id == o.site_id) & (c.order_id == o.order_id))
        .join(berths, (b.site_id == c.site_id) & (b.berth_id == c.berth_id))
        .outerjoin(visits, (v.site_id == b.site_id) & (v.visit_id == latest_visit()))
        .where(
            credentials.c.credential_id == bindparam("credential_id"),
            credentials.c.revoked_ms.is_(None),
            o.order_id == bindparam("order_id"),
            c.token_sha256 == bindparam("berth_token"),
        )
        .with_for_update(of=orders_table)
    )


def _require_presence(order: Order, request: PrePaymentOrder, berth: Berth, settings: CloudSettings) -> None:
    """Whoever pays for a berth stands beside it: the pole's code or a position shows it."""
    place = Place.model_validate(order.place)
    if place.pole_code is not None or place.position is not None:
        return  # the candidates are of that pole, or near that position
    shown = request.presence
    if shown is not None:
        if shown.pole_code is not None and shown.pole_code == berth.pole_code:
            return
        if is_near(shown.position, berth.lat, berth.lon, settings.limits.near_m):
            return
    raise Problem(
        "presence-required",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "nothing shows that the driver is at this berth",
        field="presence",
        remedy="give the code printed on the pole, or a position near the berth",
    )


def _hold(connection: Connection, order: Order, scene: Scene, until_ms: int, now_ms: int) -> bool:
    """Hold the berth for the order; False when another order holds it for the same vehicle."""
    assert scene.sight is not None  # only a match holds
    got = connection.execute(
        _take_hold(connection.dialect.name),
        {
            "site_id": order.site_id,
            "berth_id": scene.berth.berth_id,
            "order_id": order.order_id,
            "visit_id": scene.sight.visit_id,
            "until_ms": until_ms,
            "now_ms": now_ms,
        },
    )
    # Not rowcount: the driver does not report it for INSERT.
    return got.first() is not None


@cache
def _take_hold(dialect: str) -> Any:
    statement = insert_of(dialect, holds)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["site_id", "berth_id"],
        set_={"order_id": new.order_id, "visit_id": new.visit_id, "until_ms": new.until_ms},
        where=or_(
            holds.c.until_ms <= bindparam("now_ms"),
            holds.c.order_id == new.order_id,
            holds.c.visit_id != new.visit_id,
        ),
    ).returning(holds.c.order_id)


def _expired() -> Problem:
    return Problem(
        "order-expired",
        HTTPStatus.CONFLICT,
        "this order has expired",
        field="order_id",
        remedy="open a new one: POST /v1/orders",
    )
