"""The service with two more routes, to compare with: an empty one, and a plain one.

The plain route authenticates as a terminal, does one SELECT and one INSERT, and commits: what any
honest database route of this app costs.
"""

import itertools
import os
from pathlib import Path

from fastapi import APIRouter, FastAPI
from sqlalchemy import select

from cloud_endpoint.access.credentials import Role, authenticate
from cloud_endpoint.base.settings import load_settings
from cloud_endpoint.database.engine import writing
from cloud_endpoint.database.tables import order_events, orders
from cloud_endpoint.ordering.messages import OrderAnswer, PrePaymentOrder
from cloud_endpoint.ordering.order import Order, answer
from cloud_endpoint.web.app import CONFIG_VARIABLE, create_app
from cloud_endpoint.web.context import TerminalToken, ThisService
from cloud_endpoint.web.routes.terminals import OrderIdPath

router = APIRouter(prefix="/bench")
_numbers = itertools.count(1000 + os.getpid() * 1_000_000)


@router.post("/empty")
def empty() -> dict[str, str]:
    """Nothing but the framework."""
    return {}


@router.post("/{order_id}/plain")
def plain(
    order_id: OrderIdPath, request: PrePaymentOrder, cloud: ThisService, token: TerminalToken
) -> OrderAnswer:
    """One SELECT, one INSERT, commit; request and answer are those of a check."""
    now_ms = cloud.clock()
    with writing(cloud.engine) as connection:
        who = authenticate(connection, token, Role.TERMINAL)
        row = connection.execute(
            select(orders).where(orders.c.site_id == who.site_id, orders.c.order_id == order_id)
        ).mappings()
        order = Order.of(row.one())
        connection.execute(
            order_events.insert().values(
                site_id=who.site_id,
                order_id=order_id,
                number=next(_numbers) % 2**31,
                at_ms=now_ms,
                event="plain",
                state=order.state,
                reason=request.plate[:2],
                detail=None,
            )
        )
    return answer(order, cloud.settings)


def app_from_environment() -> FastAPI:
    """What each worker process builds."""
    path = os.environ.get(CONFIG_VARIABLE)
    app = create_app(load_settings(Path(path) if path else None))
    app.include_router(router)
    return app
