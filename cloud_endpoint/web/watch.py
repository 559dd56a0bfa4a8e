"""ASGI middleware: each request has an id, a line in the log and a place in the metrics."""

import logging
import re
import secrets
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud_endpoint.web.metrics import ANSWERS, REQUEST_S

log = logging.getLogger("edged_cloud.requests")

_ID = re.compile(rb"[0-9A-Za-z_.-]{1,64}")
_UNLOGGED = frozenset({"/healthz", "/readyz", "/metrics"})
_HEADER = b"x-request-id"


class Watch:
    """Outermost: takes the caller's X-Request-ID or makes one, and answers with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(_HEADER, b"")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(8).encode()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id.decode())
        # Routes are known inside, where the scope may be a copy: the holder is shared.
        scope["edged.holder"] = holder = {"route": "none"}
        status = 500
        began = time.perf_counter()

        async def numbered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), (_HEADER, request_id)]}
            await send(message)

        try:
            await self._app(scope, receive, numbered)
        finally:
            took_s = time.perf_counter() - began
            method = scope["method"] if scope["method"] in _METHODS else "other"
            REQUEST_S.labels(method, holder["route"]).observe(took_s)
            ANSWERS.labels(method, holder["route"], status).inc()
            if scope["path"] not in _UNLOGGED:
                # Without the query: a pole's code is in it. Paths hold ids, never plates or tokens.
                log.info(
                    "%s %s %s",
                    scope["method"],
                    scope["path"][:200],
                    status,
                    extra={"duration_ms": round(took_s * 1000, 1), "route": holder["route"]},
                )


_METHODS = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH"})


class RouteNote:
    """Innermost: notes the route for `Watch`; there are too many paths to count by."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            await self._app(scope, receive, send)
        finally:
            route = scope.get("route")
            if route is not None and "edged.holder" in scope:
                scope["edged.holder"]["route"] = getattr(route, "path", "none")
