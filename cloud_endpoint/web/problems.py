"""Every refusal as `application/problem+json` (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from cloud_endpoint.base.errors import PROBLEM_BASE, DatabaseUnavailable, Problem, invalid
from cloud_endpoint.ordering.states import IllegalEvent
from edged.wire.problem import MEDIA_TYPE, ProblemBody


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries for these statuses, beside those that any request may get."""
    return {
        status: {"model": ProblemBody, "description": HTTPStatus(status).phrase}
        for status in sorted({*statuses, 400, 422, 503})
    }


def answer(problem: Problem) -> JSONResponse:
    """Return the problem as a response."""
    body = problem.body(PROBLEM_BASE)
    return JSONResponse(body, int(problem.status), headers=problem.headers, media_type=MEDIA_TYPE)


def _describe(app: FastAPI) -> None:
    """Have the OpenAPI say `application/problem+json` where FastAPI writes application/json for errors."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            for operation in (op for path in schema["paths"].values() for op in path.values()):
                for status, response in operation["responses"].items():
                    if int(status) >= 400 and "application/json" in response.get("content", {}):
                        response["content"] = {MEDIA_TYPE: response["content"]["application/json"]}
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def install(app: FastAPI) -> None:
    """Have the app answer all errors as problems."""
    _describe(app)

    @app.exception_handler(Problem)
    async def _problem(_request: Request, exc: Problem) -> JSONResponse:
        return answer(exc)

    @app.exception_handler(IllegalEvent)
    async def _illegal(_request: Request, exc: IllegalEvent) -> JSONResponse:
        return answer(
            Problem(
                "order-state",
                HTTPStatus.CONFLICT,
                str(exc),
                field="order_id",
                remedy="look at the order first: GET /v1/orders/{order_id}",
            )
        )

    @app.exception_handler(DatabaseUnavailable)
    async def _database(_request: Request, exc: DatabaseUnavailable) -> JSONResponse:
        return answer(
            Problem(
                "busy",
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the service cannot answer at the moment",
                remedy="send the same request again a little later",
                retry_after_s=2,
            )
        )

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, exc: RequestValidationError) -> JSONResponse:
        return answer(invalid(exc.errors()[0]))

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, exc: HTTPException) -> JSONResponse:
        status = HTTPStatus(exc.status_code)
        slug = status.phrase.lower().replace(" ", "-")
        response = answer(Problem(slug, status, str(exc.detail), remedy="see /openapi.json"))
        response.headers.update(exc.headers or {})
        return response
