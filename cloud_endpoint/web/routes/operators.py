"""Routes for operators, and for monitoring."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse

from cloud_endpoint.base.errors import Problem
from cloud_endpoint.database import schema
from cloud_endpoint.database.pages import MOST_PAGES
from cloud_endpoint.ordering.messages import ReviewDecision, ReviewView
from cloud_endpoint.web import metrics as cloud_metrics
from cloud_endpoint.web.calls import operators as calls
from cloud_endpoint.web.context import OperatorToken, ThisService
from cloud_endpoint.web.problems import documented
from edged.wire import Snapshot
from edged.wire.base import BerthNo, Identifier

router = APIRouter()

ReviewIdPath = Annotated[Identifier, Path()]
BerthNoPath = Annotated[BerthNo, Path()]
PageNumber = Annotated[int, Query(ge=1, le=MOST_PAGES)]


@router.get("/v1/berths/{berth_no}/snapshot", tags=["operators"], responses=documented(401, 403, 409, 502))
def snapshot(berth_no: BerthNoPath, service: ThisService, token: OperatorToken) -> Snapshot:
    """泊位车牌快照, pulled from the pole now; its signature, nonce and time are verified."""
    return calls.snapshot(service, token, berth_no)


@router.get("/v1/reviews", tags=["operators"], responses=documented(401, 403))
def reviews(
    response: Response, service: ThisService, token: OperatorToken, page: PageNumber = 1
) -> list[ReviewView]:
    """The open reviews, with read, ordered and operator's plate in columns of their own.

    Checks that a driver waits for come before appeals, older ones before newer ones. 100 a page; while more
    follow, the answer has the header `Link: </v1/reviews?page=N>; rel="next"`.
    """
    found = calls.reviews(service, token, page)
    if found.more:
        response.headers["Link"] = f'</v1/reviews?page={page + 1}>; rel="next"'
    return found.lines


@router.post("/v1/reviews/{review_id}", tags=["operators"], responses=documented(401, 403, 404, 409))
def decide_review(
    review_id: ReviewIdPath, request: ReviewDecision, service: ThisService, token: OperatorToken
) -> ReviewView:
    """Decide a review, with a reason; it is audited."""
    return calls.decide_review(service, token, review_id, request)


@router.get(
    "/v1/reviews/{review_id}/picture",
    tags=["operators"],
    response_class=Response,
    responses={**documented(401, 403, 404), 200: {"content": {"image/jpeg": {}}}},
)
def review_picture(review_id: ReviewIdPath, service: ThisService, token: OperatorToken) -> Response:
    """The evidence picture of a review."""
    body = calls.review_picture(service, token, review_id)
    return Response(body, media_type="image/jpeg", headers={"X-Content-Type-Options": "nosniff"})


@router.get("/healthz", tags=["operation"])
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", tags=["operation"], responses=documented())
def readyz(request: Request, service: ThisService) -> dict[str, str]:
    """The database answers and is migrated, and the clockwork's loop turns: send requests here."""
    with service.reading() as work:
        version = schema.version_of(work.connection)
    if version != schema.head():
        raise NotReady(f"the database's schema is {version}, not {schema.head()}", "run: edged-cloud migrate")
    if not request.app.state.clockwork.turns:
        raise NotReady("the clockwork does not turn", "restart the service; its log says why")
    return {"status": "ready"}


class NotReady(Problem):
    """The service runs, and must not be sent requests."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__("not-ready", HTTPStatus.SERVICE_UNAVAILABLE, detail, remedy=remedy, retry_after_s=2)


@router.get("/metrics", tags=["operation"], response_class=PlainTextResponse, responses=documented())
def metrics(service: ThisService) -> PlainTextResponse:
    """Prometheus metrics: of all workers of this host, and of what waits in the database."""
    with service.reading() as work:
        body = cloud_metrics.text(work)
    return PlainTextResponse(body, media_type="text/plain; version=0.0.4")
