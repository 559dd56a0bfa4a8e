"""Routes for terminals: the life of a pre-payment order."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.concurrency import run_in_threadpool

from cloud_endpoint.base.order_states import UNDECIDED
from cloud_endpoint.ordering.messages import (
    Appeal,
    BerthNumberAcquisition,
    CandidateBerths,
    OrderAnswer,
    PaymentAnswer,
    PaymentReport,
    PrePaymentOrder,
)
from cloud_endpoint.ordering.order import answer
from cloud_endpoint.web.calls import terminals as calls
from cloud_endpoint.web.context import TerminalToken, ThisService
from cloud_endpoint.web.long_polls import BUSY_RETRY_S, TheseLongPolls, Waiter
from cloud_endpoint.web.problems import documented
from edged.wire.base import Identifier

router = APIRouter(prefix="/v1/orders", tags=["orders"])

OrderIdPath = Annotated[Identifier, Path()]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,64}$",
        description="the same request with the same key is done once and answered alike",
    ),
]


@router.post("", status_code=201, responses=documented(401, 403, 404, 429))
def acquire_berth_number(
    request: BerthNumberAcquisition, service: ThisService, token: TerminalToken, key: IdempotencyKey = None
) -> OrderAnswer:
    """泊位号获取指令: open an order for a place."""
    return calls.open_order(service, token, request, key)


@router.post("/{order_id}/candidates", responses=documented(401, 403, 404, 409, 429))
def offer_candidates(
    order_id: OrderIdPath, service: ThisService, token: TerminalToken, key: IdempotencyKey = None
) -> CandidateBerths:
    """候选泊位号: berth numbers to choose from, each with a token for this order."""
    return calls.offer(service, token, order_id, key)


@router.post("/{order_id}/submit", responses=documented(401, 403, 404, 409))
def submit(
    order_id: OrderIdPath,
    request: PrePaymentOrder,
    service: ThisService,
    token: TerminalToken,
    key: IdempotencyKey = None,
) -> OrderAnswer:
    """预缴费订单: a berth and the second plate; answered by an instruction."""
    return calls.submit(service, token, order_id, request, key)


@router.get("/{order_id}", responses=documented(401, 403, 404))
async def view(
    order_id: OrderIdPath,
    request: Request,
    service: ThisService,
    token: TerminalToken,
    polls: TheseLongPolls,
    wait: Annotated[float, Query(ge=0, le=30, description="seconds to wait while pending")] = 0,
) -> OrderAnswer:
    """The state of the order; with `wait`, as soon as it is no longer pending.

    When too many requests wait for this order, account or address, the answer comes at once: ask again after
    its `retry_after_s`.
    """
    order = await run_in_threadpool(calls.find, service, token, order_id)
    if not wait or order.state not in UNDECIDED:
        return answer(order, service.settings)
    if not await polls.wait(service, Waiter.of(request, order), wait):
        return answer(order, service.settings).model_copy(update={"retry_after_s": float(BUSY_RETRY_S)})
    return await run_in_threadpool(calls.view, service, token, order_id)


@router.post("/{order_id}/cancel", responses=documented(401, 403, 404, 409))
def cancel(
    order_id: OrderIdPath, service: ThisService, token: TerminalToken, key: IdempotencyKey = None
) -> OrderAnswer:
    """End an order that is not paid."""
    return calls.cancel(service, token, order_id, key)


@router.post("/{order_id}/appeals", status_code=201, responses=documented(401, 403, 404, 409, 429))
def appeal(
    order_id: OrderIdPath,
    request: Appeal,
    service: ThisService,
    token: TerminalToken,
    key: IdempotencyKey = None,
) -> OrderAnswer:
    """Object to a closed order: an operator looks at it again; nothing is overwritten.

    A plate must have been submitted, some days ago at most, and no other appeal of the order may be open.
    """
    return calls.appeal(service, token, order_id, request, key)


callbacks = APIRouter(prefix="/v1/callbacks", tags=["callbacks"])


@callbacks.post(
    "/{credential_id}/payments",
    responses=documented(401, 404, 409),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": PaymentReport.model_json_schema()}},
        }
    },
)
async def report_payment(
    credential_id: Annotated[str, Path(pattern=r"^[0-9A-Za-z_-]{1,64}$")],
    request: Request,
    service: ThisService,
    signature: Annotated[str, Header(alias="Edged-Signature", max_length=128)],
) -> PaymentAnswer:
    """The operator reports a payment: HMAC-SHA256 of `<t>.<body>` in `Edged-Signature: t=...,v1=...`."""
    body = await request.body()
    return await run_in_threadpool(calls.report_payment, service, credential_id, signature, body)
