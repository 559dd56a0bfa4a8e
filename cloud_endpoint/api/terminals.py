"""Routes for terminals: the life of a pre-payment order."""

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool

from cloud_endpoint.api.context import Service, TerminalToken
from cloud_endpoint.api.problems import documented
from cloud_endpoint.messages import BerthNumberAcquisition, CandidateBerths, OrderAnswer, PrePaymentOrder
from cloud_endpoint.order_states import UNDECIDED
from cloud_endpoint.orders import answer

router = APIRouter(prefix="/v1/orders", tags=["orders"])

OrderIdPath = Annotated[str, Path(pattern=r"^[0-9A-Za-z_-]{8,64}$")]
LONG_POLL_STEP_S = 0.25


@router.post("", status_code=201, responses=documented(401, 403, 404, 429))
def acquire_berth_number(
    request: BerthNumberAcquisition, cloud: Service, token: TerminalToken
) -> OrderAnswer:
    """泊位号获取指令: open an order for a place."""
    return answer(cloud.open_order(token, request), cloud.settings)


@router.post("/{order_id}/candidates", responses=documented(401, 403, 404, 409, 429))
def offer_candidates(order_id: OrderIdPath, cloud: Service, token: TerminalToken) -> CandidateBerths:
    """候选泊位号: berth numbers to choose from, each with a token for this order."""
    return cloud.offer(token, order_id)


@router.post("/{order_id}/submit", responses=documented(401, 403, 404, 409))
def submit(
    order_id: OrderIdPath, request: PrePaymentOrder, cloud: Service, token: TerminalToken
) -> OrderAnswer:
    """预缴费订单: a berth and the second plate; answered by an instruction."""
    return answer(cloud.submit(token, order_id, request), cloud.settings)


@router.get("/{order_id}", responses=documented(401, 403, 404))
async def view(
    order_id: OrderIdPath,
    cloud: Service,
    token: TerminalToken,
    wait: Annotated[float, Query(ge=0, le=30, description="seconds to wait while pending")] = 0,
) -> OrderAnswer:
    """Where the order stands; with `wait`, as soon as it is no longer pending."""
    deadline = time.monotonic() + wait
    order = await run_in_threadpool(cloud.view, token, order_id)
    while order.state in UNDECIDED and time.monotonic() < deadline:
        await asyncio.sleep(LONG_POLL_STEP_S)
        order = await run_in_threadpool(cloud.view, token, order_id)
    return answer(order, cloud.settings)


@router.post("/{order_id}/cancel", responses=documented(401, 403, 404, 409))
def cancel(order_id: OrderIdPath, cloud: Service, token: TerminalToken) -> OrderAnswer:
    """End an order that is not paid."""
    return answer(cloud.cancel(token, order_id), cloud.settings)
