"""Refuses large request bodies before anything reads them: the box has little memory."""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edged.snapshot_api.problems import MEDIA_TYPE, Problem

MAX_BODY_BYTES = 16 * 1024  # the largest honest one is a nonce


class _TooLarge(Exception):
    pass


class BodyLimit:
    """ASGI middleware; counts what arrives, whatever Content-Length claims."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received_bytes = 0

        async def counted() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > MAX_BODY_BYTES:
                raise _TooLarge
            return message

        try:
            await self._app(scope, counted, send)
        except _TooLarge:
            problem = Problem(
                type="urn:edged:problem:too-large",
                title="The body is too large",
                status=413,
                detail=f"more than {MAX_BODY_BYTES} bytes",
                remedy="see /openapi.json",
            )
            answer = JSONResponse(problem.model_dump(), 413, media_type=MEDIA_TYPE)
            await answer(scope, receive, send)
