"""Routes of the Curb Data Specification: events, sensor status and curbs of an operator's site."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from cloud_endpoint.access.credentials import Role, authenticate
from cloud_endpoint.base.errors import Problem
from cloud_endpoint.street import cds, curbs
from cloud_endpoint.web.context import OperatorToken, ThisService
from cloud_endpoint.web.problems import documented

MEDIA_TYPE = "application/vnd.cds+json"
CONTENT_TYPE = f"{MEDIA_TYPE};version=1.1"
_ANY = frozenset({"*/*", "application/*", "application/json"})
_VERSIONS = frozenset({"1.1", "1.1.0"})

# Days that a month has; the 29th of February of other years is refused by what reads it.
HOUR_PATTERN = (
    r"^20[0-9]{2}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    r"|02-(0[1-9]|[12][0-9]))T([01][0-9]|2[0-3])$"
)
Hour = Annotated[
    str | None,
    Query(pattern=HOUR_PATTERN, description="an hour of UTC, YYYY-MM-DDTHH; without it the last 60 minutes"),
]
Page = Annotated[int, Query(ge=1, le=100_000, description="which page; follow links.next")]


def speaks_our_version(request: Request) -> None:
    """Refuse a request for another version of the standard, as the standard demands."""
    # Not a declared parameter: OpenAPI leaves Accept to the media types of the answers.
    for asked in request.headers.get("accept", "*/*").lower().split(","):
        kind, *parameters = (part.strip() for part in asked.split(";"))
        if kind in _ANY:
            return
        versions = [p.removeprefix("version=").strip('"') for p in parameters if p.startswith("version=")]
        if kind == MEDIA_TYPE and (not versions or versions[0] in _VERSIONS):
            return
    raise Problem(
        "not-acceptable",
        HTTPStatus.NOT_ACCEPTABLE,
        f"this feed speaks {CONTENT_TYPE} only",
        field="Accept",
        remedy=f"send Accept: {CONTENT_TYPE}",
    )


def named_places(
    curb_area_id: UUID | None = None,
    curb_zone_id: UUID | None = None,
    curb_space_id: UUID | None = None,
    curb_object_id: UUID | None = None,
) -> dict[str, UUID]:
    """Return the filters that were given."""
    given = {
        "curb_area_id": curb_area_id,
        "curb_zone_id": curb_zone_id,
        "curb_space_id": curb_space_id,
        "curb_object_id": curb_object_id,
    }
    return {name: value for name, value in given.items() if value is not None}


Places = Annotated[dict[str, UUID], Depends(named_places)]
router = APIRouter(
    prefix="/cds",
    tags=["cds"],
    dependencies=[Depends(speaks_our_version)],
    responses={
        **documented(401, 403, 404, 406),
        200: {"content": {MEDIA_TYPE: {"schema": {"type": "object"}}}, "description": "OK"},
    },
)


def _answer(request: Request, answer: dict[str, Any], page: int, *, more: bool) -> JSONResponse:
    following = str(request.url.include_query_params(page=page + 1)) if more else None
    return JSONResponse(answer | {"links": {"next": following}}, media_type=CONTENT_TYPE)


@router.get("/events/events", response_class=JSONResponse)
def events(
    request: Request,
    service: ThisService,
    token: OperatorToken,
    places: Places,
    event_time: Hour = None,
    page: Page = 1,
) -> JSONResponse:
    """Events of an hour, newest first, without plates: park_start, park_end, comms_lost, comms_restored."""
    with service.reading() as work:
        window = cds.window_of(event_time, work.now_ms)
        site_id = authenticate(work.connection, token, Role.OPERATOR).site_id
        wanted = cds.berths_matching(work.connection, site_id, places)
        found, more = cds.events_in(work, site_id, window, wanted, page)
        answer = cds.envelope(work, site_id, events=found)
    return _answer(request, answer, page, more=more)


@router.get("/events/status", response_class=JSONResponse)
@router.get("/status", response_class=JSONResponse)
def status(
    request: Request, service: ThisService, token: OperatorToken, places: Places, page: Page = 1
) -> JSONResponse:
    """Which of the site's poles, and sensors of berths, are online."""
    with service.reading() as work:
        site_id = authenticate(work.connection, token, Role.OPERATOR).site_id
        wanted = cds.berths_matching(work.connection, site_id, places)
        found, more = _page_of(cds.sensor_statuses(work, site_id, wanted), page)
        answer = cds.envelope(work, site_id, status=found)
    return _answer(request, answer, page, more=more)


Curbs = Callable[[str, dict[str, list[curbs.LocatedBerth]]], list[dict[str, Any]]]


def _curbs(path: str, told: Curbs, summary: str) -> None:
    def route(
        request: Request, service: ThisService, token: OperatorToken, places: Places, page: Page = 1
    ) -> JSONResponse:
        with service.reading() as work:
            site_id = authenticate(work.connection, token, Role.OPERATOR).site_id
            every = told(site_id, curbs.located_berths(work.connection, site_id))
            found, more = _page_of([curb for curb in every if curbs.fits(curb, places)], page)
            answer = cds.envelope(work, site_id, **{path: found})
        return _answer(request, answer, page, more=more)

    router.get(f"/curbs/{path}", response_class=JSONResponse, name=f"curb {path}", summary=summary)(route)


_curbs("areas", curbs.areas, "The area that the site's zones lie in")
_curbs("zones", curbs.zones_of, "Stretches of kerb, as lines")
_curbs("spaces", curbs.spaces, "Berths, with whether they are available")


def _page_of(found: list[dict[str, Any]], page: int) -> tuple[list[dict[str, Any]], bool]:
    begin = (page - 1) * cds.PAGE
    return found[begin : begin + cds.PAGE], len(found) > begin + cds.PAGE
