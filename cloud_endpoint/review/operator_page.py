"""What an operator sees at a glance: live berths, the latest orders, the review queue. Plates are masked."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from cloud_endpoint.base.clock import from_ms
from cloud_endpoint.base.order_states import OrderState
from cloud_endpoint.database.pages import Page, fetch
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import ORDER_WATCHED, berths, devices, holds, orders, sites, visits
from cloud_endpoint.ordering.messages import ReviewView
from cloud_endpoint.poles.berth_sight import latest_visit
from cloud_endpoint.review import decisions
from cloud_endpoint.street.outages import SILENT_MS
from edged.domain.masking import mask

MOST_BERTHS = 500
MOST_ORDERS = 50
MOST_POLES = 200
MOST_WAITING = 200
WAITING = (OrderState.REVIEW, OrderState.PENDING)  # a driver waits


@dataclass(frozen=True, slots=True, kw_only=True)
class BerthLine:
    """A berth as it is now; `plate` is masked."""

    berth_no: str
    state: str
    plate: str
    since: datetime | None  # of the vehicle that stands there
    flags: tuple[
        str, ...
    ] = ()  # time_unsure: no clock proves `since`; long_stay: longer than a vehicle stays
    order: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """One of the latest orders; `plate` is masked."""

    at: datetime
    berth_no: str | None
    plate: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PoleLine:
    """A pole as it was last heard of; `health` is `offline` when that is too long ago."""

    device_id: str
    heard_at: datetime | None
    health: str
    problems: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Which page of each list is shown."""

    reviews: int = 1
    berths: int = 1
    orders: int = 1
    poles: int = 1


FIRST = Numbers()


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPage:
    """One page for one site."""

    site: str
    time_zone: str
    waiting: int  # open reviews, on all pages
    reviews: Page[ReviewView]
    berths: Page[BerthLine]
    orders: Page[OrderLine]
    poles: Page[PoleLine]

    @property
    def occupied(self) -> int:
        """The number of listed berths with a vehicle."""
        return sum(berth.state == "occupied" for berth in self.berths)


def page_of(work: Work, site_id: str, numbers: Numbers = FIRST) -> OperatorPage:
    """Return what the desk shows."""
    site = work.connection.execute(select(sites).where(sites.c.site_id == site_id)).one()
    return OperatorPage(
        site=site.name,
        time_zone=site.time_zone,
        waiting=decisions.count_waiting(work.connection, site_id),
        reviews=decisions.waiting(work.connection, site_id, numbers.reviews),
        berths=_berths(work, site_id, numbers.berths),
        orders=_orders(work, site_id, numbers.orders),
        poles=_poles(work, site_id, numbers.poles),
    )


def _berths(work: Work, site_id: str, number: int) -> Page[BerthLine]:
    b, o, v, h = berths.c, orders.c, visits.c, holds.c
    live = (
        select(
            b.berth_no,
            b.in_service,
            b.state,
            v.visit_id,
            v.seen_ms,
            v.ended_ms,
            v.plate,
            v.time_unsure,
            o.state.label("order_state"),
        )
        .select_from(berths)
        .outerjoin(visits, (v.site_id == b.site_id) & (v.visit_id == latest_visit()))
        .outerjoin(holds, (h.site_id == b.site_id) & (h.berth_id == b.berth_id) & (h.until_ms > work.now_ms))
        .outerjoin(orders, (o.site_id == h.site_id) & (o.order_id == h.order_id))
        .where(b.site_id == site_id)
        .order_by(b.zone_id, b.kerb_order, b.berth_no)
    )

    def line(row: Any) -> BerthLine:
        stands = row.visit_id is not None and row.ended_ms is None
        return BerthLine(
            berth_no=row.berth_no,
            state=_state(row.in_service, row.state, stands),
            plate=mask(row.plate) if row.plate and row.ended_ms is None else "",
            since=from_ms(row.seen_ms) if stands else None,
            flags=_flags(work, row) if stands else (),
            order=row.order_state,
        )

    return fetch(work.connection, live, number, MOST_BERTHS, line)


def _orders(work: Work, site_id: str, number: int) -> Page[OrderLine]:
    """Return a page of the orders, the latest first; the first page begins with those that wait."""
    b, o = berths.c, orders.c
    every = (
        select(o.created_ms, o.plate, o.state, b.berth_no)
        .select_from(orders)
        .outerjoin(berths, (b.site_id == o.site_id) & (b.berth_id == o.berth_id))
        .where(o.site_id == site_id)
    )
    latest = fetch(
        work.connection,
        every.where(o.state.not_in(WAITING)).order_by(o.created_ms.desc(), o.order_id),
        number,
        MOST_ORDERS,
        _order_line,
    )
    if number > 1:
        return latest
    # Two queries: sorting all orders of a city by state would read them all.
    wait = every.where(ORDER_WATCHED, o.state.in_(WAITING)).order_by(o.created_ms)
    waiting = fetch(work.connection, wait, 1, MOST_WAITING, _order_line)
    return replace(latest, lines=waiting.lines + latest.lines)


def _order_line(row: Any) -> OrderLine:
    return OrderLine(
        at=from_ms(row.created_ms),
        berth_no=row.berth_no,
        plate=mask(row.plate) if row.plate else "",
        state=row.state,
    )


def _poles(work: Work, site_id: str, number: int) -> Page[PoleLine]:
    d = devices.c
    silent_first = func.coalesce(d.last_sync_ms, 0)  # PostgreSQL sorts NULL last
    query = (
        select(d.device_id, d.last_sync_ms, d.health, d.problems)
        .where(d.site_id == site_id)
        .order_by(silent_first, d.device_id)
    )

    def line(row: Any) -> PoleLine:
        is_heard = row.last_sync_ms is not None and work.now_ms - row.last_sync_ms < SILENT_MS
        return PoleLine(
            device_id=row.device_id,
            heard_at=from_ms(row.last_sync_ms) if row.last_sync_ms is not None else None,
            health=(row.health or "unknown") if is_heard else "offline",
            problems=list(row.problems or ()),
        )

    return fetch(work.connection, query, number, MOST_POLES, line)


def _flags(work: Work, row: Any) -> tuple[str, ...]:
    is_long = work.now_ms - row.seen_ms > work.settings.poles.longest_stay_h * 3_600_000
    flags = {"time_unsure": row.time_unsure, "long_stay": is_long}
    return tuple(flag for flag, is_set in flags.items() if is_set)


def _state(in_service: bool, reported: str, occupied: bool) -> str:
    """An event is newer than the pole's last word on the state, unless that was of a fault."""
    if not in_service:
        return "out_of_service"
    if reported in ("fault", "out_of_service"):
        return reported
    return "occupied" if occupied else "vacant" if reported != "unknown" else "unknown"
