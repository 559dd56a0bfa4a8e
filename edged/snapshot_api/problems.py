"""Every error of the API as a problem answer (RFC 9457)."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from edged.wire.problem import MEDIA_TYPE, Problem, ProblemBody

_TYPE_BASE = "urn:edged:problem:"

log = structlog.get_logger(__name__)


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of problem answers with these statuses."""
    schema = {"$ref": "#/components/schemas/Problem"}
    names = {
        400: "the body is not text",
        401: "the bearer token is missing or wrong",
        404: "nothing of that name here",
        413: "the body is too large",
        422: "a parameter is malformed",
        502: "the camera gave no picture",
        503: "busy, or not enrolled yet",
    }
    return {
        status: {"description": names[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem answer."""

    @app.exception_handler(Problem)
    def raised(request: Request, error: Problem) -> Response:
        return _answer(error)

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, error: RequestValidationError) -> Response:
        fields = "; ".join(
            f"{'.'.join(str(part) for part in issue['loc'])}: {issue['msg']}" for issue in error.errors()
        )
        title = "A parameter is malformed"
        return _answer(Problem("malformed", 422, fields, remedy="see /openapi.json", title=title))

    @app.exception_handler(HTTPException)
    def routed(request: Request, error: HTTPException) -> Response:
        slug = {400: "malformed", 404: "no-such-path", 405: "method-not-allowed", 413: "too-large"}.get(
            error.status_code, "http"
        )
        asked = f"{request.method} {request.url.path[:200]}"
        title = str(error.detail)
        response = _answer(Problem(slug, error.status_code, asked, remedy="see /openapi.json", title=title))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> Response:
        log.error(
            "request failed", path=request.url.path[:200], error=repr(error)
        )  # uvicorn logs the traceback
        return _answer(
            Problem(
                "internal",
                500,
                "see the log of edged (journalctl -u edged)",
                remedy="try again; report it if it lasts",
                title="The pole failed to answer",
            )
        )

    plain_openapi = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain_openapi()
        document["components"]["schemas"]["Problem"] = ProblemBody.model_json_schema()
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _answer(problem: Problem) -> JSONResponse:
    return JSONResponse(
        problem.body(_TYPE_BASE), int(problem.status), headers=problem.headers, media_type=MEDIA_TYPE
    )
