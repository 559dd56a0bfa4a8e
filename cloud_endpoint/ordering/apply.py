"""The plate check at work: orders are decided when they come in, and when the pole has looked again.

Only this module writes what `decide` decided. An order's row is locked first, then the berth's
hold: everywhere in this order, so that two of them never wait for each other.
"""

from collections.abc import Iterable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from sqlalchemy import Connection, select

from cloud_endpoint.base.errors import Problem
from cloud_endpoint.base.order_states import WATCHED
from cloud_endpoint.base.settings import CloudSettings
from cloud_endpoint.database.engine import padded
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import ORDER_WATCHED, visits
from cloud_endpoint.database.tables import holds as holds_table
from cloud_endpoint.database.tables import orders as orders_table
from cloud_endpoint.ordering import holds, orders, review_queue, same_plate
from cloud_endpoint.ordering.decide import Claim, Decision, decide
from cloud_endpoint.ordering.order import Order, advance
from cloud_endpoint.ordering.states import OrderEvent, OrderState
from cloud_endpoint.poles import captures
from cloud_endpoint.poles.berth_sight import Scene, scene_of
from cloud_endpoint.poles.visits import Sight

# News of a berth decide its orders at once. These looks are for news that a dying worker left undecided.
CONFIRMED_LOOK_MS = 5 * 60_000
WITHDRAWN = "reading_withdrawn"
VEHICLE_LEFT = "vehicle_left"


def resolve(work: Work, order: Order, *, fresh: Sight | None = None, captured: bool = False) -> Order:
    """Look at an order that is watched again; `fresh` is what a requested picture shows.

    `captured` counts an answered request, whatever it showed. `order` is locked.
    """
    if order.state not in WATCHED:
        return order
    scene = scene_of(work.connection, order.site_id, order.berth_id or "")
    if order.state is OrderState.CONFIRMED:
        return _watch(work, order, scene)
    if order.state is OrderState.PENDING and work.now_ms >= order.expires_ms:
        return orders.save(work, advance(order, OrderEvent.EXPIRE, now_ms=work.now_ms, reason="too_late"))
    if order.hold_until_ms is not None and order.state is OrderState.PENDING and _has_left(order, scene):
        # A withdrawn order may be paid already: it must not be taken for the next vehicle's.
        return orders.save(work, advance(order, OrderEvent.LEAVE, now_ms=work.now_ms, reason=VEHICLE_LEFT))
    if captured:
        order = replace(order, captures=order.captures + 1)
    # A picture of another visit than the current one is history.
    if fresh is not None and scene.sight is not None and fresh.visit_id == scene.sight.visit_id:
        scene = Scene(berth=scene.berth, sight=fresh)
    on_its_way = captures.on_its_way(work.connection, order)
    if order.state is OrderState.REVIEW:
        return _look_on(work, order, scene, on_its_way=on_its_way)
    return judge(work, order, scene, on_its_way=on_its_way)


def quiet_until(
    order: Order, scene: Scene, settings: CloudSettings, now_ms: int, *, on_its_way: bool
) -> int | None:
    """Return when a watched order is looked at next if there is no news for it, None if there is."""
    same_vehicle = order.visit_id == (scene.sight.visit_id if scene.sight else None)
    if order.state is OrderState.CONFIRMED:
        assert order.hold_until_ms is not None
        next_ms = min(order.hold_until_ms, now_ms + CONFIRMED_LOOK_MS)
        is_quiet = same_vehicle and now_ms < order.hold_until_ms and not _is_withdrawn(order, scene)
        return next_ms if is_quiet else None
    decision = _decide(order, scene, settings, now_ms, on_its_way=on_its_way)
    if now_ms >= order.expires_ms or not same_vehicle:
        return None
    if order.state is OrderState.REVIEW:
        news = decision.event is OrderEvent.MATCH or not on_its_way
        return None if news else _next_review_look(order, settings, now_ms)
    if decision.recapture:
        return None
    waits_on = (decision.event, decision.reason) == (OrderEvent.WAIT, order.reason)
    return _next_pending_look(order, settings, now_ms) if waits_on else None


def judge(work: Work, order: Order, scene: Scene, *, on_its_way: bool) -> Order:
    """Decide a submitted or pending order by what is seen in its berth, and store it. `order` is locked."""
    decision = _decide(order, scene, work.settings, work.now_ms, on_its_way=on_its_way)
    if decision.event in (OrderEvent.MATCH, OrderEvent.MISMATCH):
        decision = same_plate.doubted(work, order, scene, decision, on_its_way=on_its_way)
    if decision.event is OrderEvent.MISMATCH and orders.has_had(work.connection, order, OrderEvent.WITHDRAW):
        # The driver had a confirmation by our mistake: a human decides, no plate modification is sent.
        decision = Decision(event=OrderEvent.DOUBT, reason=WITHDRAWN)
    changes: dict[str, Any] = {"visit_id": scene.sight.visit_id if scene.sight else None}
    if decision.event is OrderEvent.MATCH:
        held = _held(work, order, scene)
        if held is None:
            decision = Decision(event=OrderEvent.WAIT, reason=holds.why_held(work.connection, order))
        else:
            changes |= held
    if decision.event is OrderEvent.MISMATCH:
        changes["modifications"] = order.modifications + 1
    if decision.event is OrderEvent.WAIT:
        changes["due_ms"] = _next_pending_look(order, work.settings, work.now_ms)
    if decision.recapture:
        captures.request_capture(work, order, scene.berth)
    if decision.event is OrderEvent.WAIT and (order.state, order.reason) == (
        OrderState.PENDING,
        decision.reason,
    ):
        return orders.save(work, replace(order, **changes))  # no news: not worth a line
    if decision.event in (OrderEvent.DOUBT, OrderEvent.GIVE_UP):
        order = replace(order, expires_ms=work.now_ms + round(work.settings.orders.review_s * 1000))
        changes["due_ms"] = _next_review_look(order, work.settings, work.now_ms)
    order = orders.save(
        work, advance(order, decision.event, now_ms=work.now_ms, reason=decision.reason, **changes)
    )
    if order.state is OrderState.REVIEW:
        review_queue.open_review(work, order, kind="check", reason=decision.reason)
    return order


def _decide(
    order: Order, scene: Scene, settings: CloudSettings, now_ms: int, *, on_its_way: bool
) -> Decision:
    assert order.plate is not None  # a submitted order has one
    claim = Claim(
        plate=order.plate,
        captures=order.captures,
        capture_on_its_way=on_its_way,
        modifications=order.modifications,
    )
    return decide(claim, scene.sight, now_ms=now_ms, rules=settings.check.rules())


def _held(work: Work, order: Order, scene: Scene) -> dict[str, Any] | None:
    """Take the hold; returns what changes in the order, None when another order has it."""
    until_ms = work.now_ms + round(work.settings.orders.hold_s * 1000)
    if not holds.take(work, order, scene, until_ms):
        return None
    return {"hold_until_ms": until_ms, "due_ms": min(until_ms, work.now_ms + CONFIRMED_LOOK_MS)}


def _has_left(order: Order, scene: Scene) -> bool:
    return scene.sight is None or scene.sight.visit_id != order.visit_id


def _next_review_look(order: Order, settings: CloudSettings, now_ms: int) -> int:
    return min(order.expires_ms, now_ms + round(settings.orders.review_look_s * 1000))


def _look_on(work: Work, order: Order, scene: Scene, *, on_its_way: bool) -> Order:
    """While an order waits for an operator the pole looks on; a match takes it out of the queue again.

    It also ends when the vehicle leaves, and when no operator has decided in time. What is doubtful is a
    human's to decide.
    """
    if _has_left(order, scene):
        review_queue.close(work, order, decision="left", reason="the vehicle left")
        return orders.save(work, advance(order, OrderEvent.LEAVE, now_ms=work.now_ms, reason=VEHICLE_LEFT))
    decision = _decide(order, scene, work.settings, work.now_ms, on_its_way=on_its_way)
    if decision.event is OrderEvent.MATCH and not same_plate.elsewhere(work, order.site_id, scene):
        held = _held(work, order, scene)
        if held is not None:
            reason = "a later picture shows the ordered plate"
            review_queue.close(work, order, decision="matched", reason=reason)
            matched = advance(order, OrderEvent.MATCH, now_ms=work.now_ms, reason="equal_later", **held)
            return orders.save(work, matched)
    if work.now_ms >= order.expires_ms:
        review_queue.close(work, order, decision="expired", reason="no operator decided in time")
        return orders.save(work, advance(order, OrderEvent.EXPIRE, now_ms=work.now_ms, reason="not_reviewed"))
    if order.due_ms <= work.now_ms:
        if not on_its_way:
            captures.request_capture(work, order, scene.berth)
        order = replace(order, due_ms=_next_review_look(order, work.settings, work.now_ms))
    return orders.save(work, order)


def _next_pending_look(order: Order, settings: CloudSettings, now_ms: int) -> int:
    """Without any news an order is looked at the more rarely, the longer it has waited."""
    waited_ms = now_ms - (order.submitted_ms or now_ms)
    wait_ms = max(round(settings.orders.look_again_s * 1000), waited_ms // 4)
    return min(order.expires_ms, now_ms + wait_ms)


def approve(work: Work, order: Order) -> Order:
    """Confirm an order after review; raises Problem when the car is gone or another order holds the berth."""
    scene = scene_of(work.connection, order.site_id, order.berth_id or "")
    if _has_left(order, scene):
        raise _cannot_approve("vehicle-left", "the vehicle of this order has left the berth")
    held = _held(work, order, scene)
    if held is None:
        raise _cannot_approve("berth-held", "another order holds the berth for this vehicle")
    approved = advance(order, OrderEvent.APPROVE, now_ms=work.now_ms, reason="approved", **held)
    return orders.save(work, approved)


def _cannot_approve(slug: str, detail: str) -> Problem:
    return Problem(
        slug, HTTPStatus.CONFLICT, detail, field="review_id", remedy="refuse the order, with this reason"
    )


def _watch(work: Work, order: Order, scene: Scene) -> Order:
    """End a confirmed order whose vehicle has left, or that is not paid in time."""
    assert order.hold_until_ms is not None
    if _has_left(order, scene):
        changed = advance(order, OrderEvent.LEAVE, now_ms=work.now_ms, reason=VEHICLE_LEFT)
    elif work.now_ms >= order.hold_until_ms:
        changed = advance(order, OrderEvent.EXPIRE, now_ms=work.now_ms, reason="unpaid")
    elif _is_withdrawn(order, scene):
        return _withdraw(work, order, scene)
    else:
        changed = replace(order, due_ms=min(order.hold_until_ms, work.now_ms + CONFIRMED_LOOK_MS))
    return orders.save(work, changed)


def _is_withdrawn(order: Order, scene: Scene) -> bool:
    """Tell whether the pole took back the reading that confirmed; an operator's word needs none."""
    return scene.sight is not None and not scene.sight.accepted and order.reason != "approved"


def _withdraw(work: Work, order: Order, scene: Scene) -> Order:
    """Bring a confirmed, unpaid order back to pending, and look at the berth anew.

    The hold's time stays in the order: who has paid meanwhile has paid.
    """
    holds.release(work, order)
    pending = advance(
        order,
        OrderEvent.WITHDRAW,
        now_ms=work.now_ms,
        reason=WITHDRAWN,
        captures=0,
        expires_ms=max(order.expires_ms, order.hold_until_ms or 0),
    )
    return judge(work, orders.save(work, pending), scene, on_its_way=False)


def question_paid(work: Work, order: Order) -> None:
    """Open a review of a paid order whose reading was taken back: once, and never after an approval."""
    known = (OrderEvent.APPROVE, OrderEvent.APPEAL)
    if order.state is not OrderState.PAID or orders.has_had(work.connection, order, *known):
        return
    changed = advance(order, OrderEvent.APPEAL, now_ms=work.now_ms, reason=WITHDRAWN, due_ms=order.due_ms)
    review_queue.open_review(work, order, kind="appeal", reason=WITHDRAWN)
    orders.save(work, changed)


def paid_by_withdrawn(connection: Connection, site_id: str, berth_ids: Iterable[str]) -> list[str]:
    """Return the paid orders that hold one of these berths for a vehicle whose reading was taken back."""
    o, h, v = orders_table.c, holds_table.c, visits.c
    rows = connection.execute(
        select(o.order_id)
        .select_from(holds_table)
        .join(orders_table, (o.site_id == h.site_id) & (o.order_id == h.order_id))
        .join(visits, (v.site_id == h.site_id) & (v.visit_id == h.visit_id))
        .where(
            h.site_id == site_id,
            h.berth_id.in_(padded(berth_ids)),
            o.state == OrderState.PAID.value,
            v.accepted.is_(False),
            v.ended_ms.is_(None),
        )
    )
    return list(rows.scalars())


def cancel(work: Work, order: Order) -> Order:
    """End an order that is not paid, and its review; raises IllegalEvent. `order` is locked."""
    cancelled = advance(order, OrderEvent.CANCEL, now_ms=work.now_ms, reason="cancelled_by_driver")
    if order.state is OrderState.REVIEW:
        reason = "the driver cancelled the order"
        review_queue.close(work, order, decision="withdrawn", reason=reason)
    return orders.save(work, cancelled)


def expire(work: Work, order: Order) -> Order:
    """Do what is due for an order by the clock alone. `order` is locked."""
    if order.state in WATCHED:
        return resolve(work, order)
    if work.now_ms < order.expires_ms:
        return order
    return orders.save(work, advance(order, OrderEvent.EXPIRE, now_ms=work.now_ms, reason="too_late"))


def open_orders(connection: Connection, site_id: str, berth_ids: Iterable[str]) -> list[str]:
    """Return the ids of the orders that wait for, or hold, one of these berths."""
    o = orders_table.c
    rows = connection.execute(
        select(o.order_id).where(o.site_id == site_id, o.berth_id.in_(padded(berth_ids)), ORDER_WATCHED)
    )
    return list(rows.scalars())
