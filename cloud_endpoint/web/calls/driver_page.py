"""What the driver's page asks of the service: the street of a pole's code, and the state of an order.

The page orders as a terminal of each street, with the credentials of `[pages] terminal_tokens`.
"""

import ipaddress
from dataclasses import dataclass
from http import HTTPStatus
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from cloud_endpoint.access.credentials import Role, authenticate
from cloud_endpoint.base.clock import DAY_MS, HOUR_MS
from cloud_endpoint.base.errors import Problem
from cloud_endpoint.base.order_states import CHOOSING, OrderState
from cloud_endpoint.database.service import Service
from cloud_endpoint.database.tables import berths, credentials, holds, sites
from cloud_endpoint.database.tables import orders as orders_table
from cloud_endpoint.ordering import limits, offers, orders
from cloud_endpoint.ordering.messages import CandidateBerths, OrderAnswer
from cloud_endpoint.ordering.order import Order, answer


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPage:
    """An order as its driver sees it; `plate` is what the driver entered, never what was read."""

    answer: OrderAnswer
    zone: ZoneInfo
    berth_no: str | None
    plate: str
    minutes: int | None
    candidates: CandidateBerths | None  # while one may be chosen
    paid_order: str | None  # the driver's own, for the same berth, when that is why this one waits


def token_at(service: Service, pole_code: str) -> tuple[str, str]:
    """Return the token of the street with this code on a pole, and the code as printed; raises Problem."""
    by_site = _tokens(service)
    b = berths.c
    wanted = [pole_code, pole_code.upper()]  # as typed, and as printed
    with service.reading() as work:
        row = work.connection.execute(
            select(b.site_id, b.pole_code)
            .where(b.site_id.in_(by_site), b.pole_code.in_(wanted))
            .order_by(b.site_id)
            .limit(1)
        ).first()
    if row is None:  # any street's: there it is counted and refused
        return next(iter(by_site.values())), pole_code
    return by_site[row.site_id], row.pole_code


def token_of(service: Service, order_id: str) -> str:
    """Return the terminal's token of the street that an order belongs to; raises Problem."""
    by_site = _tokens(service)
    o = orders_table.c
    with service.reading() as work:
        site_id = work.connection.execute(
            select(o.site_id).where(o.site_id.in_(by_site), o.order_id == order_id)
        ).scalar()
    if site_id is None:
        raise orders.unknown()
    return by_site[site_id]


def require_page(service: Service) -> None:
    """Raise Problem when no street has a driver's page."""
    _tokens(service)


def _tokens(service: Service) -> dict[str, str]:
    tokens = {token.partition(".")[0]: token for token in service.settings.pages.terminal_tokens}
    c = credentials.c
    with service.reading() as work:
        rows = work.connection.execute(
            select(c.credential_id, c.site_id).where(c.credential_id.in_(tokens), c.revoked_ms.is_(None))
        ).all()
    if not rows:
        raise Problem(
            "page-off",
            HTTPStatus.NOT_FOUND,
            "the driver's page is not set up here",
            remedy="set [pages] terminal_tokens to the token of a terminal made for it, one a street",
        )
    return {row.site_id: tokens[row.credential_id] for row in rows}


def charge_order(service: Service, token: str, address: str) -> None:
    """Count an order of the driver's page against the address it came from; raises Problem."""
    most = service.settings.limits.orders_per_address_per_hour
    _charge_address(service, token, address, what="orders", most=most, window_ms=HOUR_MS)


def charge_appeal(service: Service, token: str, address: str) -> None:
    """Count an appeal of the driver's page against the address it came from; raises Problem."""
    most = service.settings.limits.appeals_per_address_per_day
    _charge_address(service, token, address, what="appeals", most=most, window_ms=DAY_MS)


def _charge_address(
    service: Service, token: str, address: str, *, what: str, most: int, window_ms: int
) -> None:
    """Count one use against an address.

    A network of IPv6 counts as one: the holder of one address there has all 2^64.
    """
    with service.writing() as work:
        limits.charge(
            work,
            authenticate(work.connection, token, Role.TERMINAL).site_id,
            "address",
            network_of(address),
            what=what,
            most=most,
            window_ms=window_ms,
        )


def network_of(address: str) -> str:
    """Return the name that an address counts under: itself, or its /64 in IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def order_page(service: Service, token: str, order_id: str, account_id: str | None) -> OrderPage:
    """Return an order to the driver whose account it is; raises Problem. A stranger's looks like none."""
    with service.reading() as work:
        who = authenticate(work.connection, token, Role.TERMINAL)
        order = order_of_account(work.connection, who.site_id, who.credential_id, order_id, account_id)
        zone = work.connection.execute(
            select(sites.c.time_zone).where(sites.c.site_id == who.site_id)
        ).scalar_one()
        b = berths.c
        berth_no = work.connection.execute(
            select(b.berth_no).where(b.site_id == who.site_id, b.berth_id == order.berth_id)
        ).scalar()
        candidates = offers.latest_offer(work.connection, order) if order.state in CHOOSING else None
        paid_order = _paid_before(work.connection, order) if order.reason == "already_paid" else None
    return OrderPage(
        answer=answer(order, service.settings),
        zone=ZoneInfo(zone),
        berth_no=berth_no,
        plate=order.plate or "",
        minutes=order.minutes,
        candidates=candidates,
        paid_order=paid_order,
    )


def _paid_before(connection: Connection, order: Order) -> str | None:
    h, o = holds.c, orders_table.c
    return connection.execute(
        select(o.order_id)
        .join(holds, (h.site_id == o.site_id) & (h.order_id == o.order_id))
        .where(
            h.site_id == order.site_id,
            h.berth_id == order.berth_id,
            o.account_id == order.account_id,
            o.state == OrderState.PAID,
        )
    ).scalar()


def own_order(service: Service, token: str, order_id: str, account_id: str | None) -> Order:
    """Return an order to the driver whose account it is; raises Problem."""
    with service.reading() as work:
        who = authenticate(work.connection, token, Role.TERMINAL)
        return order_of_account(work.connection, who.site_id, who.credential_id, order_id, account_id)


def order_of_account(
    connection: Connection, site_id: str, credential_id: str, order_id: str, account_id: str | None
) -> Order:
    """Return an order of this account; raises Problem."""
    order = orders.load(connection, site_id, order_id, credential_id=credential_id, lock=False)
    if order.account_id != account_id:
        raise orders.unknown()
    return order
