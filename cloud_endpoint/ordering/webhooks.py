"""What a terminal learns without asking: each change of an order, pushed, signed and retried.

A webhook waits for no other one, so they may arrive in another order than they were sent in: each has the
number of the order's change, and a receiver drops what is older than what it has.
"""

import json
import logging
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Insert, Select, bindparam, literal, select, true, update

from cloud_endpoint.access.signatures import sign
from cloud_endpoint.base.clock import from_ms
from cloud_endpoint.base.ids import new_id
from cloud_endpoint.database.engine import padded, writing
from cloud_endpoint.database.service import Service, Work
from cloud_endpoint.database.tables import WEBHOOK_WAITING, credentials, webhooks
from cloud_endpoint.ordering.messages import OrderWebhook
from cloud_endpoint.ordering.order import Order, answer
from edged import __version__
from edged.exchange import Bounds, ExchangeError, HttpClient

log = logging.getLogger(__name__)

# A receiver's answer is read for its status only: one that is slow or large is a failed delivery.
TIMEOUT_S = 5
BOUNDS = Bounds(deadline_s=TIMEOUT_S, max_bytes=1024 * 1024)
MOST_ATTEMPTS = 12  # the last after about 2 h
LONGEST_WAIT_MS = 30 * 60_000
MOST_EACH = 4  # of one receiver in one claim: the clockwork sends it no more at once


def _queue() -> Insert:
    w, c = webhooks.c, credentials.c
    row = {
        "site_id": bindparam("of_site", type_=w.site_id.type),
        "webhook_id": bindparam("of_webhook", type_=w.webhook_id.type),
        "credential_id": c.credential_id,
        "order_id": bindparam("of_order", type_=w.order_id.type),
        "body": bindparam("with_body", type_=w.body.type),
        "created_ms": bindparam("at_ms", type_=w.created_ms.type),
        "due_ms": bindparam("at_ms", type_=w.due_ms.type),
        "attempts": literal(0),
        "state": literal("waiting"),
    }
    of_terminal = c.credential_id == bindparam("of_credential")
    reached = select(*row.values()).where(of_terminal, c.webhook_url.is_not(None), c.revoked_ms.is_(None))
    return webhooks.insert().from_select(list(row), reached)


_QUEUE = _queue()  # built once: composing a statement costs more than running it


def queue(work: Work, order: Order) -> None:
    """Queue what the order is now, if its terminal has a URL. Only `orders.save` calls this."""
    webhook_id = new_id("hook")
    body = OrderWebhook(
        webhook_id=webhook_id,
        number=order.changes,
        sent_at=from_ms(work.now_ms),
        order=answer(order, work.settings),
    ).model_dump(mode="json")
    work.connection.execute(
        _QUEUE,
        {
            "of_site": order.site_id,
            "of_webhook": webhook_id,
            "of_credential": order.credential_id,
            "of_order": order.order_id,
            "with_body": body,
            "at_ms": work.now_ms,
        },
    )


def due(work: Work, most: int, passed_over: Collection[str]) -> Sequence[Any]:
    """Return webhooks to deliver now, locked, without those of credentials that are passed over."""
    c = credentials.c
    if work.connection.dialect.name == "postgresql":
        found = next_of_each(work.now_ms)
    else:  # one writer at a time, and few receivers
        w = webhooks.c
        found = select(webhooks, c.webhook_url, c.signing_secret).join(credentials, _OF_RECEIVER)
        found = found.where(WEBHOOK_WAITING, w.due_ms <= work.now_ms).order_by(w.attempts, w.due_ms)
    return work.connection.execute(found.where(c.credential_id.not_in(padded(passed_over))).limit(most)).all()


_OF_RECEIVER = (webhooks.c.site_id == credentials.c.site_id) & (
    webhooks.c.credential_id == credentials.c.credential_id
)


def next_of_each(now_ms: int) -> Select[Any]:
    """Return the query for the next few of each receiver, locked, those with the fewest attempts first.

    A city's receiver that did not answer for a night has 200,000 waiting: they are not read at each claim.
    """
    w, c = webhooks.c, credentials.c
    few = (
        select(webhooks)
        .where(_OF_RECEIVER, WEBHOOK_WAITING, w.due_ms <= now_ms)
        # First attempts first: what a receiver fails to take delays nothing that is new.
        .order_by(w.attempts, w.due_ms)
        .limit(MOST_EACH)
        .with_for_update(skip_locked=True)
        .correlate(credentials)
        .lateral("few")
    )
    return (
        select(few, c.webhook_url, c.signing_secret)
        .select_from(credentials.join(few, true()))
        .where(c.webhook_url.is_not(None))
        .order_by(few.c.attempts, few.c.due_ms)
    )


def lease(work: Work, row: Any) -> bool:
    """Have the webhook come due again, the later the more often it failed; the last time it does not."""
    w = webhooks.c
    wait_ms = min(LONGEST_WAIT_MS, 2000 * 2**row.attempts)
    last = row.attempts + 1 >= MOST_ATTEMPTS
    work.connection.execute(
        update(webhooks)
        .where(w.site_id == row.site_id, w.webhook_id == row.webhook_id)
        .values(
            attempts=row.attempts + 1,
            due_ms=work.now_ms + TIMEOUT_S * 1000 + wait_ms,
            state="given_up" if last else "waiting",
        )
    )
    if last:
        log.warning(
            "webhook %s of order %s: attempt %s is the last", row.webhook_id, row.order_id, MOST_ATTEMPTS
        )
    return True


def deliver(service: Service, row: Any, bounds: Bounds = BOUNDS) -> bool:
    """Send one webhook; any 2xx ends it. Returns whether it was delivered."""
    body = json.dumps(row.body, ensure_ascii=False).encode()
    headers = {
        "Content-Type": "application/json",
        "Edged-Signature": sign(body, row.signing_secret, service.clock() // 1000),
    }
    try:
        with HttpClient(f"edged-cloud/{__version__}") as client:
            answered = client.ask("POST", row.webhook_url, bounds=bounds, body=body, headers=headers)
    except ExchangeError as exc:
        log.warning("webhook %s of order %s: %s", row.webhook_id, row.order_id, exc.cause)
        return False
    if not 200 <= answered.status < 300:
        log.warning("webhook %s of order %s: HTTP %s", row.webhook_id, row.order_id, answered.status)
        return False
    with writing(service.engine) as connection:
        connection.execute(
            update(webhooks)
            .where(webhooks.c.site_id == row.site_id, webhooks.c.webhook_id == row.webhook_id)
            .values(state="delivered")
        )
    return True
