"""Routes for poles: enrolment, events, evidence."""

import time
from http import HTTPStatus
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from cloud_endpoint.base.errors import Problem
from cloud_endpoint.web.calls import poles as calls
from cloud_endpoint.web.context import DeviceToken, ThisService
from cloud_endpoint.web.problems import documented
from edged.wire import EnrolmentAnswer, EnrolmentRequest, SyncAnswer, SyncRequest
from edged.wire.base import DeviceId, Sha256

router = APIRouter(tags=["poles"])

SYNCS_AT_ONCE = 6  # threads of a worker for poles: a reconnecting fleet must not keep drivers waiting
SYNCS_WAITING = 60  # beyond that a pole waits at its own side, before its patience ends
FIRST_SLOT_S = 0.03
SOONEST_RETURN_S = 2
LATEST_RETURN_S = 600


class Turns:
    """How many syncs a worker takes at a time; more are told when to come back, each at a time of its own.

    With one span for all, a fleet of 10,000 would come back together, and most of the work be refusals.
    """

    def __init__(self) -> None:
        self.threads = CapacityLimiter(SYNCS_AT_ONCE)
        self._waiting = 0
        self._slot_s = FIRST_SLOT_S  # between two syncs that end, while others wait
        self._ended_s: float | None = None  # the last one, if others waited then
        self._booked_s = 0.0

    async def __aenter__(self) -> None:
        if self._waiting >= SYNCS_WAITING:
            now_s = time.monotonic()
            self._booked_s = max(self._booked_s, now_s + SOONEST_RETURN_S) + self._slot_s
            raise Problem(
                "too-many-poles",
                HTTPStatus.TOO_MANY_REQUESTS,
                "many poles deliver at the moment",
                remedy="send the same batch again after Retry-After, with jitter",
                retry_after_s=min(LATEST_RETURN_S, round(self._booked_s - now_s)),
            )
        self._waiting += 1

    async def __aexit__(self, *_: object) -> None:
        self._waiting -= 1
        now_s = time.monotonic()
        if self._ended_s is not None:
            self._slot_s += (now_s - self._ended_s - self._slot_s) / 50
        self._ended_s = now_s if self._waiting >= SYNCS_AT_ONCE else None


async def _turns(request: Request) -> Turns:
    turns = request.app.state.turns
    assert isinstance(turns, Turns)
    return turns


SyncTurns = Annotated[Turns, Depends(_turns)]

DeviceIdPath = Annotated[DeviceId, Path()]
Sha256Path = Annotated[Sha256, Path()]


@router.post("/v1/enrolments", status_code=201, responses=documented(403, 409))
def enrol(request: EnrolmentRequest, service: ThisService) -> EnrolmentAnswer:
    """A box trades its one-time code for a token."""
    return calls.enrol(service, request)


@router.post("/v1/devices/{device_id}/events", responses=documented(401, 413, 415, 429))
async def sync(
    device_id: DeviceIdPath, request: SyncRequest, service: ThisService, token: DeviceToken, turns: SyncTurns
) -> SyncAnswer:
    """A pole delivers its events; verdicts and requests come back. The body may be gzip."""
    async with turns:
        return await to_thread.run_sync(calls.sync, service, device_id, token, request, limiter=turns.threads)


@router.put(
    "/v1/devices/{device_id}/evidence/{sha256}",
    status_code=204,
    responses=documented(401, 409, 413, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def put_evidence(
    device_id: DeviceIdPath, sha256: Sha256Path, request: Request, service: ThisService, token: DeviceToken
) -> Response:
    """A pole uploads a picture that the cloud asked for."""
    body = await request.body()
    await run_in_threadpool(calls.put_evidence, service, device_id, token, sha256, body)
    return Response(status_code=204)
