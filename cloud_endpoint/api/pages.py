"""The driver's page (`/pay?code=...`, on the pole as a QR code) and the operator's desk (`/desk`).

The driver's page is a terminal of its own: it orders with the credential in `[pages] terminal_token`, and
tells drivers apart by a cookie. Whoever drops the cookie is still bounded by address, zone and pole code.
"""

import secrets
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Cookie, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape

from cloud_endpoint.access import unauthorised
from cloud_endpoint.api.context import Service
from cloud_endpoint.api.terminals import OrderIdPath
from cloud_endpoint.api.words import words
from cloud_endpoint.errors import Problem
from cloud_endpoint.messages import (
    BerthNumberAcquisition,
    CandidateBerths,
    Place,
    PrePaymentOrder,
    ReviewDecision,
    Verdict,
)
from cloud_endpoint.order_states import IllegalEvent
from cloud_endpoint.service import Cloud
from edged.domain.plate import PROVINCES

STATIC = Path(__file__).parents[1] / "static"
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "templates"), autoescape=select_autoescape()
)
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; form-action 'self'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
}

router = APIRouter(include_in_schema=False)

Lang = Annotated[str, Form(pattern="^(zh|en)$")]
Driver = Annotated[str | None, Cookie(pattern=r"^[0-9a-f]{32}$")]
Desk = Annotated[str | None, Cookie(max_length=200)]


def _page(template: str, lang: str, status: int = 200, **values: Any) -> HTMLResponse:
    body = _TEMPLATES.get_template(template).render(lang=lang, t=words(lang), **values)
    return HTMLResponse(body, status, headers=_HEADERS)


def _token(cloud: Cloud) -> str:
    if not cloud.settings.pages.terminal_token:
        raise Problem(
            "page-off",
            HTTPStatus.NOT_FOUND,
            "the driver's page is not set up here",
            remedy="set [pages] terminal_token to the token of a terminal made for it",
        )
    return cloud.settings.pages.terminal_token


def _remember(cloud: Cloud, response: Response, name: str, value: str) -> None:
    secure = cloud.settings.server.public_url.startswith("https:")
    response.set_cookie(name, value, httponly=True, samesite="strict", secure=secure, max_age=86_400)


@router.get("/pay")
def start(
    cloud: Service,
    code: Annotated[str, Query(max_length=64)] = "",
    lang: Annotated[str, Query(pattern="^(zh|en)$")] = "zh",
) -> HTMLResponse:
    """Where the QR code on the pole leads."""
    _token(cloud)
    return _page("start.html", lang, code=code, problem=None)


@router.post("/pay")
def open_order(
    request: Request,
    cloud: Service,
    code: Annotated[str, Form(max_length=64)],
    lang: Lang = "zh",
    driver: Driver = None,
) -> HTMLResponse:
    """Open an order at this pole and show its candidates."""
    token = _token(cloud)
    account = driver or secrets.token_hex(16)
    try:
        cloud.charge_address(token, request.client.host if request.client else "unknown")
        place = Place(pole_code=code.strip())
        order = cloud.open_order(token, BerthNumberAcquisition(place=place, account_id=account))
        offered = cloud.offer(token, order.order_id)
    except Problem as problem:
        return _page("start.html", lang, problem.status, code=code, problem=_said(problem))
    except ValueError:
        return _page("start.html", lang, 422, code=code, problem=code)
    response = _candidates(offered, lang)
    _remember(cloud, response, "driver", account)
    return response


def _candidates(offered: CandidateBerths, lang: str, **values: Any) -> HTMLResponse:
    shown = {"problem": None, "plate": ""} | values
    return _page(
        "order.html",
        lang,
        422 if shown["problem"] else 200,
        order_id=offered.order_id,
        candidates=offered.candidates,
        provinces=PROVINCES,
        **shown,
    )


@router.post("/pay/{order_id}/candidates")
def again(order_id: OrderIdPath, cloud: Service, lang: Lang = "zh", driver: Driver = None) -> HTMLResponse:
    """Show candidates once more, to correct the plate or the berth."""
    token = _token(cloud)
    cloud.check_account(token, order_id, driver)
    try:
        return _candidates(cloud.offer(token, order_id), lang)
    except (Problem, IllegalEvent) as refused:
        return _result(cloud, order_id, lang, str(refused))


@router.post("/pay/{order_id}/submit", response_model=None)
def submit(
    order_id: OrderIdPath,
    cloud: Service,
    berth_token: Annotated[str, Form(min_length=8, max_length=128)],
    plate: Annotated[str, Form(min_length=1, max_length=32)],
    minutes: Annotated[int, Form(ge=1, le=1440)],
    lang: Lang = "zh",
    driver: Driver = None,
) -> Response:
    """Submit the order; a plate that no car has is shown again with what is wrong."""
    token = _token(cloud)
    cloud.check_account(token, order_id, driver)
    request = PrePaymentOrder(berth_token=berth_token, plate=plate, minutes=minutes)
    try:
        cloud.submit(token, order_id, request)
    except Problem as problem:
        if problem.field not in ("plate", "berth_token"):
            return _result(cloud, order_id, lang, _said(problem))
        try:
            offered = cloud.offer(token, order_id)
        except Problem as used_up:
            return _result(cloud, order_id, lang, _said(used_up))
        return _candidates(offered, lang, problem=_said(problem), plate=plate)
    except IllegalEvent:
        pass  # sent twice: the result tells
    return RedirectResponse(f"/pay/{order_id}?lang={lang}", HTTPStatus.SEE_OTHER)


@router.get("/pay/{order_id}")
def result(
    order_id: OrderIdPath,
    cloud: Service,
    lang: Annotated[str, Query(pattern="^(zh|en)$")] = "zh",
    driver: Driver = None,
) -> HTMLResponse:
    """Where the order stands and what to do next; updates by itself while pending."""
    cloud.check_account(_token(cloud), order_id, driver)
    return _result(cloud, order_id, lang)


@router.post("/pay/{order_id}/cancel")
def cancel(order_id: OrderIdPath, cloud: Service, lang: Lang = "zh", driver: Driver = None) -> HTMLResponse:
    """End the order."""
    token = _token(cloud)
    cloud.check_account(token, order_id, driver)
    with suppress(IllegalEvent):  # already ended: the result tells
        cloud.cancel(token, order_id)
    return _result(cloud, order_id, lang)


def _result(cloud: Cloud, order_id: str, lang: str, problem: str | None = None) -> HTMLResponse:
    answer, zone = cloud.view_with_zone(_token(cloud), order_id)
    return _page("result.html", lang, answer=answer, zone=ZoneInfo(zone), problem=problem)


def _said(problem: Problem) -> str:
    return f"{problem.detail}; {problem.remedy}"


# -- the operator's desk -----------------------------------------------------------------------------------


@router.get("/desk")
def desk(
    cloud: Service,
    lang: Annotated[str, Query(pattern="^(zh|en)$")] = "zh",
    operator: Desk = None,
) -> HTMLResponse:
    """Live berths, orders and the review queue."""
    return _desk(cloud, operator, lang)


def _desk(cloud: Cloud, operator: str | None, lang: str, problem: str | None = None) -> HTMLResponse:
    if operator is None:
        return _page("desk.html", lang, signed_in=False, problem=problem)
    try:
        shown = cloud.desk(operator)
    except Problem as refused:
        return _page("desk.html", lang, refused.status, signed_in=False, problem=_said(refused))
    return _page(
        "desk.html",
        lang,
        signed_in=True,
        problem=problem,
        zone=ZoneInfo(shown.time_zone),
        reviews=shown.reviews,
        berths=shown.berths,
        orders=shown.orders,
    )


@router.post("/desk/session")
def sign_in(cloud: Service, token: Annotated[str, Form(max_length=200)], lang: Lang = "zh") -> HTMLResponse:
    """Sign in with an operator's token; it stays in a cookie that scripts cannot read."""
    response = _desk(cloud, token.strip(), lang)
    if response.status_code == HTTPStatus.OK:
        _remember(cloud, response, "operator", token.strip())
    return response


@router.post("/desk/session/end")
def sign_out() -> RedirectResponse:
    """Sign out."""
    response = RedirectResponse("/desk", HTTPStatus.SEE_OTHER)
    response.delete_cookie("operator")
    return response


@router.post("/desk/reviews/{review_id}", response_model=None)
def decide(
    review_id: OrderIdPath,
    cloud: Service,
    decision: Annotated[Verdict, Form()],
    reason: Annotated[str, Form(min_length=1, max_length=500)],
    operator_plate: Annotated[str, Form(max_length=32)] = "",
    lang: Lang = "zh",
    operator: Desk = None,
) -> Response:
    """Decide a review from the desk."""
    if operator is None:
        raise unauthorised("sign in: /desk")
    wanted = ReviewDecision(decision=decision, operator_plate=operator_plate or None, reason=reason)
    try:
        cloud.decide_review(operator, review_id, wanted)
    except Problem as problem:
        return _desk(cloud, operator, lang, _said(problem))
    return RedirectResponse(f"/desk?lang={lang}", HTTPStatus.SEE_OTHER)


@router.get("/desk/reviews/{review_id}/picture")
def picture(review_id: OrderIdPath, cloud: Service, operator: Desk = None) -> Response:
    """The picture of a review, for the desk."""
    if operator is None:
        raise unauthorised("sign in: /desk")
    return Response(cloud.review_picture(operator, review_id), media_type="image/jpeg", headers=_HEADERS)
