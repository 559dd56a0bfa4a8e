"""The driver's page: `/pay?code=...`, on the pole as a QR code.

It tells drivers apart by a cookie. Whoever drops the cookie is still bounded by address, zone and pole code.
Every step is a form that answers with a redirect: going back, reloading and sending twice are safe, and
nothing needs a script.
"""

import secrets
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Cookie, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from cloud_endpoint.base.errors import Problem
from cloud_endpoint.base.order_states import UNDECIDED
from cloud_endpoint.database.service import Service
from cloud_endpoint.ordering.messages import Appeal, BerthNumberAcquisition, Place, PrePaymentOrder, Reason
from cloud_endpoint.ordering.states import IllegalEvent, OrderState
from cloud_endpoint.web.calls import driver_page, terminals
from cloud_endpoint.web.context import ThisService
from cloud_endpoint.web.long_polls import BUSY_RETRY_S, TheseLongPolls, Waiter
from cloud_endpoint.web.pages.rendering import Kept, Lang, SameSite, page, problem_text, set_cookie
from cloud_endpoint.web.pages.words import words
from cloud_endpoint.web.routes.terminals import OrderIdPath
from edged.domain.plate import PROVINCES

router = APIRouter(include_in_schema=False, prefix="/pay")

Driver = Annotated[str | None, Cookie(pattern=r"^[0-9a-f]{32}$")]
MINUTES = (15, 30, 60, 120, 240, 480)
REMEMBER_DAYS = 30


@router.get("")
def start(
    service: ThisService, lang: Lang, code: Annotated[str, Query(max_length=64)] = "", driver: Driver = None
) -> HTMLResponse:
    """Where the QR code on the pole leads. Nothing is opened yet: phones load pages by themselves."""
    driver_page.require_page(service)
    return _start(service, lang, code, driver)


def _start(
    service: Service, lang: str, code: str, driver: str | None, problem: str | None = None, status: int = 200
) -> HTMLResponse:
    response = page("start.html", lang, status, code=code, problem=problem, once=secrets.token_hex(16))
    _know(service, response, driver or secrets.token_hex(16))
    return response


def _know(service: Service, response: Response, driver: str) -> None:
    # Lax: the phone's camera, which opens the page, is another site.
    set_cookie(service, response, "driver", driver, days=REMEMBER_DAYS, same_site="lax")


@router.post("", response_model=None, dependencies=[SameSite])
def open_order(
    request: Request,
    service: ThisService,
    code: Annotated[str, Form(max_length=64)] = "",
    once: Annotated[str | None, Form(pattern=r"^[0-9a-f]{32}$")] = None,
    lang: Kept = "zh",
    driver: Driver = None,
) -> Response:
    """Open an order at this pole and offer its berths; the same form sent twice opens one."""
    account = driver or secrets.token_hex(16)
    token, code = driver_page.token_at(service, code.strip())
    try:
        driver_page.charge_order(service, token, _address(request))
        place = Place(pole_code=code)
        opening = BerthNumberAcquisition(place=place, account_id=account)
        order_id = terminals.open_order(service, token, opening, once if driver else None).order_id
        if terminals.view(service, token, order_id).state is OrderState.DRAFT:
            terminals.offer(service, token, order_id)
    except Problem as problem:
        return _start(service, lang, code, account, problem_text(problem, lang), problem.status)
    except ValidationError:
        return _start(service, lang, code, account, words(lang)["problems"]["place-unknown"], 422)
    response = _to(order_id, lang)
    _know(service, response, account)
    return response


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _to(order_id: str, lang: str) -> RedirectResponse:
    return RedirectResponse(f"/pay/{order_id}?lang={lang}", HTTPStatus.SEE_OTHER)


@router.get("/{order_id}")
def show(order_id: OrderIdPath, service: ThisService, lang: Lang, driver: Driver = None) -> HTMLResponse:
    """Show the state of the order and the next action."""
    return _show(service, order_id, lang, driver)


def _show(
    service: Service, order_id: str, lang: str, driver: str | None, status: int = 200, **values: Any
) -> HTMLResponse:
    try:
        order = driver_page.order_page(service, driver_page.token_of(service, order_id), order_id, driver)
    except Problem as problem:
        return _start(service, lang, "", driver, problem_text(problem, lang), problem.status)
    shown = {"entered": {"plate": order.plate, "minutes": order.minutes or 60, "berth_no": order.berth_no}}
    return page(
        "order.html", lang, status, order=order, provinces=PROVINCES, choices=MINUTES, **(shown | values)
    )


@router.get("/{order_id}/state")
async def state(
    order_id: OrderIdPath,
    request: Request,
    service: ThisService,
    polls: TheseLongPolls,
    driver: Driver = None,
    wait: Annotated[float, Query(ge=0, le=25)] = 20,
) -> dict[str, str | float]:
    """Return the state of the order as soon as it is decided: the page's script waits for it."""
    token = await run_in_threadpool(driver_page.token_of, service, order_id)
    order = await run_in_threadpool(driver_page.own_order, service, token, order_id, driver)
    if wait and order.state in UNDECIDED:
        if not await polls.wait(service, Waiter.of(request, order), wait):
            return {"state": order.state, "retry_after_s": BUSY_RETRY_S}
        order = await run_in_threadpool(driver_page.own_order, service, token, order_id, driver)
    return {"state": order.state}


@router.post("/{order_id}/candidates", dependencies=[SameSite], response_model=None)
def other_berths(
    order_id: OrderIdPath, service: ThisService, lang: Kept = "zh", driver: Driver = None
) -> Response:
    """Offer the next berths of this place."""
    token = _own(service, order_id, driver)
    try:
        terminals.offer(service, token, order_id, elsewhere=True)
    except Problem as problem:
        return _show(service, order_id, lang, driver, problem.status, problem=problem_text(problem, lang))
    except IllegalEvent:
        pass  # decided meanwhile: the page shows it
    return _to(order_id, lang)


@router.post("/{order_id}/submit", dependencies=[SameSite], response_model=None)
def submit(
    order_id: OrderIdPath,
    service: ThisService,
    berth_token: Annotated[str, Form(max_length=128)] = "",
    plate: Annotated[str, Form(max_length=64)] = "",
    minutes: Annotated[int, Form(ge=1, le=1440)] = 60,
    lang: Kept = "zh",
    driver: Driver = None,
) -> Response:
    """Submit the order; the page shows an error beside what was entered."""
    token = _own(service, order_id, driver)
    try:
        request = PrePaymentOrder(berth_token=berth_token, plate=plate, minutes=minutes)
        terminals.submit(service, token, order_id, request)
    except (Problem, ValidationError) as refused:
        problem = refused if isinstance(refused, Problem) else _incomplete(berth_token)
        entered = {"plate": plate, "minutes": minutes, "token": berth_token}
        text = problem_text(problem, lang)
        return _show(service, order_id, lang, driver, problem.status, problem=text, entered=entered)
    except IllegalEvent:
        pass  # sent twice: the page shows the outcome of the first
    return _to(order_id, lang)


def _incomplete(berth_token: str) -> Problem:
    slug, field = ("plate-impossible", "plate") if berth_token else ("berth-missing", "berth_token")
    return Problem(
        slug,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "the form is not complete",
        field=field,
        remedy="choose a berth and enter a plate",
    )


@router.post("/{order_id}/cancel", dependencies=[SameSite])
def cancel(
    order_id: OrderIdPath, service: ThisService, lang: Kept = "zh", driver: Driver = None
) -> RedirectResponse:
    """End the order."""
    token = _own(service, order_id, driver)
    with suppress(IllegalEvent):  # already ended: the page shows it
        terminals.cancel(service, token, order_id)
    return _to(order_id, lang)


@router.post("/{order_id}/appeal", dependencies=[SameSite], response_model=None)
def appeal(
    order_id: OrderIdPath,
    request: Request,
    service: ThisService,
    reason: Annotated[Reason, Form()],
    once: Annotated[str | None, Form(pattern=r"^[0-9a-f]{32}$")] = None,
    lang: Kept = "zh",
    driver: Driver = None,
) -> Response:
    """Object to what became of the order."""
    token = _own(service, order_id, driver)
    try:
        driver_page.charge_appeal(service, token, _address(request))
        terminals.appeal(service, token, order_id, Appeal(reason=reason), once)
    except Problem as problem:
        return _show(service, order_id, lang, driver, problem.status, problem=problem_text(problem, lang))
    except IllegalEvent:
        return _to(order_id, lang)  # open again meanwhile: the page shows it
    return _show(service, order_id, lang, driver, notice=words(lang)["appealed"])


def _own(service: Service, order_id: str, driver: str | None) -> str:
    """Return the terminal's token for an order of this driver; raises Problem."""
    token = driver_page.token_of(service, order_id)
    driver_page.order_page(service, token, order_id, driver)
    return token
