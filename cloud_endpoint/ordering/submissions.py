"""A pre-payment order comes in: a terminal's second plate for one of its candidate berths."""

from functools import cache
from http import HTTPStatus
from typing import Any

from sqlalchemy import bindparam, select

from cloud_endpoint.access.credentials import COLUMNS, Role, authenticate, verified
from cloud_endpoint.base.errors import Problem
from cloud_endpoint.base.ids import fingerprint
from cloud_endpoint.base.settings import CloudSettings
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import berths, credentials, order_candidates, visits
from cloud_endpoint.database.tables import orders as orders_table
from cloud_endpoint.ordering import orders
from cloud_endpoint.ordering.apply import judge
from cloud_endpoint.ordering.messages import Place, PrePaymentOrder
from cloud_endpoint.ordering.offers import is_near
from cloud_endpoint.ordering.order import ORDER_COLUMNS, Order, advance
from cloud_endpoint.ordering.states import OrderEvent, step
from cloud_endpoint.poles.berth_sight import SCENE_COLUMNS, Berth, Scene, latest_visit, scene_in
from edged.domain.plate import PlateError, parse_plate

PRESENCE_REQUIRED = "presence-required"


def submit(work: Work, token: str, order_id: str, request: PrePaymentOrder) -> Order:
    """Take a terminal's second plate and decide; raises Problem, IllegalEvent."""
    order, scene = _locked(work, token, order_id, request)
    plate = _parsed(request.plate)
    if work.now_ms >= order.expires_ms:
        raise _expired()
    submitted = advance(
        order,
        OrderEvent.SUBMIT,
        now_ms=work.now_ms,
        reason="submitted",
        plate=plate,
        minutes=request.minutes,
        berth_id=scene.berth.berth_id,
        visit_id=None,
        submitted_ms=work.now_ms,
        submissions=order.submissions + 1,
        captures=0,
    )
    _require_presence(order, request, scene.berth, work.settings)
    return judge(work, submitted, scene, on_its_way=False)


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


def _locked(work: Work, token: str, order_id: str, request: PrePaymentOrder) -> tuple[Order, Scene]:
    """Return the terminal's order, locked, and the scene at the berth whose token this is.

    One query: the check is what drivers wait for. Raises Problem for whatever does not fit.
    """
    row = work.connection.execute(
        _submission(),
        {
            "credential_id": token.partition(".")[0],
            "order_id": order_id,
            "berth_token": fingerprint(request.berth_token),
        },
    ).one_or_none()
    if row is None:  # rare: find out what is wrong
        who = authenticate(work.connection, token, Role.TERMINAL)
        orders.load(work.connection, who.site_id, order_id, credential_id=who.credential_id, lock=False)
        raise Problem(
            "candidate-token-foreign",
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "this token was not offered to this order, or newer ones were",
            field="berth_token",
            remedy="use a token of this order's latest candidates",
        )
    verified(row, token, Role.TERMINAL)
    values = row._mapping
    order = Order.of({name: values[orders_table.c[name]] for name in ORDER_COLUMNS})
    if row.candidate_expires_ms <= work.now_ms:
        step(order.state, OrderEvent.SUBMIT)  # an order that cannot be submitted at all is the first error
        raise Problem(
            "candidate-token-stale",
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "this token has expired",
            field="berth_token",
            remedy="ask for candidates again: POST /v1/orders/{order_id}/candidates",
        )
    return order, scene_in({name: values[column] for name, column in SCENE_COLUMNS.items()})


@cache
def _submission() -> Any:
    o, c, b, v = orders_table.c, order_candidates.c, berths.c, visits.c
    asking = credentials.alias()
    # Known before the rest runs, the site leaves one partition of each table.
    site = select(asking.c.site_id).where(asking.c.credential_id == bindparam("credential_id"))
    return (
        select(*COLUMNS, *orders_table.c, c.expires_ms.label("candidate_expires_ms"), *SCENE_COLUMNS.values())
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
            o.site_id == site.scalar_subquery(),
            o.order_id == bindparam("order_id"),
            c.token_sha256 == bindparam("berth_token"),
        )
        .with_for_update(of=orders_table)
    )


def _require_presence(order: Order, request: PrePaymentOrder, berth: Berth, settings: CloudSettings) -> None:
    """Refuse a driver without proof of being at the berth: the pole's code, or a position near it."""
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
        PRESENCE_REQUIRED,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "nothing shows that the driver is at this berth",
        field="presence",
        remedy="give the code printed on the pole, or a position near the berth",
    )


def _expired() -> Problem:
    return Problem(
        "order-expired",
        HTTPStatus.CONFLICT,
        "this order has expired",
        field="order_id",
        remedy="open a new one: POST /v1/orders",
    )
