"""RFC 9457 problem answers: a stable `type`, what is wrong, and a remedy."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"

log = structlog.get_logger(__name__)


class Problem(BaseModel):
    """The body of every answer that is not a success (RFC 9457)."""

    type: str = Field(examples=["urn:edged:problem:unknown-berth"])
    title: str
    status: int
    detail: str
    remedy: str | None = None


class ProblemError(Exception):
    """Raised by an endpoint; becomes the problem answer."""

    def __init__(
        self,
        status: int,
        slug: str,
        title: str,
        detail: str,
        remedy: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(
            type=f"urn:edged:problem:{slug}", title=title, status=status, detail=detail, remedy=remedy
        )
        self.headers = headers


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

    @app.exception_handler(ProblemError)
    def raised(request: Request, error: ProblemError) -> Response:
        return _answer(error.problem, error.headers)

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, error: RequestValidationError) -> Response:
        fields = "; ".join(
            f"{'.'.join(str(part) for part in issue['loc'])}: {issue['msg']}" for issue in error.errors()
        )
        return _answer(
            Problem(
                type="urn:edged:problem:malformed",
                title="A parameter is malformed",
                status=422,
                detail=fields,
                remedy="see /openapi.json",
            )
        )

    @app.exception_handler(HTTPException)
    def routed(request: Request, error: HTTPException) -> Response:
        slug = {400: "malformed", 404: "no-such-path", 405: "method-not-allowed", 413: "too-large"}.get(
            error.status_code, "http"
        )
        return _answer(
            Problem(
                type=f"urn:edged:problem:{slug}",
                title=str(error.detail),
                status=error.status_code,
                detail=f"{request.method} {request.url.path[:200]}",
                remedy="see /openapi.json",
            ),
            dict(error.headers) if error.headers else None,
        )

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> Response:
        log.error(
            "request failed", path=request.url.path[:200], error=repr(error)
        )  # uvicorn logs the traceback
        return _answer(
            Problem(
                type="urn:edged:problem:internal",
                title="The pole failed to answer",
                status=500,
                detail="see the log of edged (journalctl -u edged)",
                remedy="try again; report it if it lasts",
            )
        )

    plain_openapi = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain_openapi()
        document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _answer(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        problem.model_dump(exclude_none=True), problem.status, headers=headers, media_type=MEDIA_TYPE
    )
