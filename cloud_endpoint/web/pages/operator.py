"""The operator's desk (`/desk`): live berths, poles and orders of one site, and its reviews to decide."""

from http import HTTPStatus
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Cookie, Depends, Form, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from cloud_endpoint.access.credentials import unauthorised
from cloud_endpoint.base.errors import Problem
from cloud_endpoint.database.service import Service
from cloud_endpoint.ordering.messages import NO_NUL, ReviewChoice, ReviewDecision
from cloud_endpoint.review.operator_page import FIRST, Numbers, OperatorPage
from cloud_endpoint.web.calls import operators
from cloud_endpoint.web.context import ThisService
from cloud_endpoint.web.pages.rendering import HEADERS, Kept, Lang, SameSite, page, problem_text, set_cookie
from cloud_endpoint.web.routes.operators import PageNumber, ReviewIdPath

router = APIRouter(include_in_schema=False, prefix="/desk")

Operator = Annotated[str | None, Cookie(max_length=200)]


def page_numbers(
    reviews: PageNumber = 1, berths: PageNumber = 1, orders: PageNumber = 1, poles: PageNumber = 1
) -> Numbers:
    """Return which page of each list is asked for."""
    return Numbers(reviews=reviews, berths=berths, orders=orders, poles=poles)


Shown = Annotated[Numbers, Depends(page_numbers)]


@router.get("")
def desk(service: ThisService, lang: Lang, numbers: Shown, operator: Operator = None) -> HTMLResponse:
    """Live berths, orders and the review queue."""
    return _desk(service, operator, lang, numbers)


def _desk(
    service: Service,
    operator: str | None,
    lang: str,
    numbers: Numbers = FIRST,
    problem: str | None = None,
    status: int = 200,
) -> HTMLResponse:
    if operator is None:
        return page("sign_in.html", lang, problem=problem)
    try:
        shown = operators.desk(service, operator, numbers)
    except Problem as refused:
        return page("sign_in.html", lang, refused.status, problem=problem_text(refused, lang))
    return _shown("desk.html", shown, lang, problem, status)


def _shown(
    template: str, shown: OperatorPage, lang: str, problem: str | None = None, status: int = 200
) -> HTMLResponse:
    return page(template, lang, status, desk=shown, zone=ZoneInfo(shown.time_zone), problem=problem)


@router.get("/live")
def live(service: ThisService, lang: Lang, numbers: Shown, operator: Operator = None) -> HTMLResponse:
    """The part of the page that its script renews."""
    return _shown("desk_live.html", operators.desk(service, _signed_in(operator), numbers), lang)


@router.post("/session", dependencies=[SameSite], response_model=None)
def sign_in(
    service: ThisService, token: Annotated[str, Form(max_length=200)] = "", lang: Kept = "zh"
) -> Response:
    """Sign in with an operator's token; it stays in a cookie that scripts cannot read."""
    try:
        operators.desk(service, token.strip())
    except Problem as refused:
        return page("sign_in.html", lang, refused.status, problem=problem_text(refused, lang))
    response = RedirectResponse(f"/desk?lang={lang}", HTTPStatus.SEE_OTHER)
    set_cookie(service, response, "operator", token.strip(), days=1, same_site="strict")
    return response


@router.post("/session/end", dependencies=[SameSite])
def sign_out(lang: Kept = "zh") -> RedirectResponse:
    """Sign out."""
    response = RedirectResponse(f"/desk?lang={lang}", HTTPStatus.SEE_OTHER)
    response.delete_cookie("operator")
    return response


@router.post("/reviews/{review_id}", dependencies=[SameSite], response_model=None)
def decide(
    review_id: ReviewIdPath,
    service: ThisService,
    decision: Annotated[ReviewChoice, Form()],
    reason: Annotated[str, Form(max_length=500, pattern=NO_NUL)] = "",
    operator_plate: Annotated[str, Form(max_length=32)] = "",
    lang: Kept = "zh",
    operator: Operator = None,
) -> Response:
    """Decide a review from the desk."""
    token = _signed_in(operator)
    if not reason.strip():
        problem = Problem(
            "reason-missing",
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "a decision needs a reason",
            field="reason",
            remedy="write what you see in the picture",
        )
        return _desk(service, token, lang, FIRST, problem_text(problem, lang), problem.status)
    try:
        wanted = ReviewDecision(
            decision=decision, operator_plate=operator_plate or None, reason=reason.strip()
        )
        operators.decide_review(service, token, review_id, wanted)
    except Problem as problem:
        return _desk(service, token, lang, FIRST, problem_text(problem, lang), problem.status)
    return RedirectResponse(f"/desk?lang={lang}", HTTPStatus.SEE_OTHER)


@router.get("/reviews/{review_id}/picture")
def picture(review_id: ReviewIdPath, service: ThisService, operator: Operator = None) -> Response:
    """The picture of a review, for the desk."""
    body = operators.review_picture(service, _signed_in(operator), review_id)
    return Response(body, media_type="image/jpeg", headers=HEADERS)


def _signed_in(operator: str | None) -> str:
    if operator is None:
        raise unauthorised("sign in: /desk")
    return operator
