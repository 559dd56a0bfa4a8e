"""What the pages share: templates, headers, language, and a guard against forms of other sites."""

from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Form, Header, Query, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape

from cloud_endpoint.base.errors import Problem
from cloud_endpoint.database.service import Service
from cloud_endpoint.web.pages.words import words

STATIC = Path(__file__).parent / "static"
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
)
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
DAY_S = 86_400
Chosen = Annotated[str | None, Query(alias="lang", pattern="^(zh|en)$")]
Kept = Annotated[str, Form(alias="lang", pattern="^(zh|en)$")]


def language(chosen: Chosen = None, accept_language: Annotated[str, Header(max_length=500)] = "") -> str:
    """Return `en` if it is chosen, or nothing is and the browser asks for it first; else Chinese."""
    return chosen or ("en" if accept_language.lower().startswith("en") else "zh")


def from_this_site(request: Request) -> None:
    """Refuse a form that another site sends with our cookie; browsers say where a form comes from."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem(
            "cross-site",
            HTTPStatus.FORBIDDEN,
            "this form was sent from another site",
            remedy="open the page itself and send it from there",
        )


Lang = Annotated[str, Depends(language)]
SameSite = Depends(from_this_site)


def page(template: str, lang: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a page."""
    body = _TEMPLATES.get_template(template).render(lang=lang, t=words(lang), **({"problem": None} | values))
    return HTMLResponse(body, status, headers=HEADERS)


def problem_text(problem: Problem, lang: str) -> str:
    """Return a problem in the driver's language: its own words where the page has them."""
    text = words(lang)["problems"].get(problem.slug)
    return text or f"{problem.trouble.cause}; {problem.trouble.remedy}"


def set_cookie(
    service: Service, response: Response, name: str, value: str, *, days: int, same_site: Any
) -> None:
    """Set a cookie that scripts cannot read, and that is never sent in the clear where the site has TLS."""
    response.set_cookie(
        name,
        value,
        httponly=True,
        samesite=same_site,
        secure=service.settings.server.public_url.startswith("https:"),
        max_age=days * DAY_S,
    )
