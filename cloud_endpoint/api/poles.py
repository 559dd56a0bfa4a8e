"""Routes for poles: enrolment, events, evidence."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from cloud_endpoint.api.context import DeviceToken, Service
from cloud_endpoint.api.problems import documented
from edged.wire import EnrolmentAnswer, EnrolmentRequest, SyncAnswer, SyncRequest

router = APIRouter(tags=["poles"])

DeviceIdPath = Annotated[str, Path(pattern=r"^[0-9A-Za-z_.-]{1,64}$")]
Sha256Path = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]


@router.post("/v1/enrolments", status_code=201, responses=documented(403, 409))
def enrol(request: EnrolmentRequest, cloud: Service) -> EnrolmentAnswer:
    """A box trades its one-time code for a token."""
    return cloud.enrol(request)


@router.post("/v1/devices/{device_id}/events", responses=documented(401, 413, 415))
def sync(device_id: DeviceIdPath, request: SyncRequest, cloud: Service, token: DeviceToken) -> SyncAnswer:
    """A pole delivers its events; verdicts and requests come back. The body may be gzip."""
    return cloud.sync(device_id, token, request)


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
    device_id: DeviceIdPath, sha256: Sha256Path, request: Request, cloud: Service, token: DeviceToken
) -> Response:
    """A pole uploads a picture that the cloud asked for."""
    body = await request.body()
    await run_in_threadpool(cloud.put_evidence, device_id, token, sha256, body)
    return Response(status_code=204)
