"""Refuses large request bodies before anything reads them whole: the box has little memory."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 16 * 1024  # the largest honest one is a nonce


class BodyLimit:
    """ASGI middleware; counts what arrives, whatever Content-Length claims."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_bytes = 0

        async def counted() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > MAX_BODY_BYTES:
                # of this type, because FastAPI turns any other, raised while it reads a body, into a 400
                raise HTTPException(413, f"more than {MAX_BODY_BYTES} bytes")
            return message

        await self._app(scope, counted, send)
