"""Request bodies within bounds, gzip or not, before anything parses them."""

import json
import zlib
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud_endpoint.base.errors import PROBLEM_BASE, Problem
from edged.wire.problem import MEDIA_TYPE

SMALL_BYTES = 64 * 1024
BATCH_BYTES = 8 * 1024 * 1024
PICTURE_BYTES = 4 * 1024 * 1024


def most_bytes(path: str) -> int:
    """Return how large a request body of this path may be, unpacked."""
    if path.startswith("/v1/devices/"):
        return PICTURE_BYTES if "/evidence/" in path else BATCH_BYTES
    return SMALL_BYTES


def gunzip(body: bytes, most: int) -> bytes:
    """Return the unpacked body; raises Problem for bad gzip and for more than `most` bytes."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, most + 1)
    except zlib.error as exc:
        raise _bad_gzip(str(exc)) from exc
    if len(unpacked) > most:
        raise too_large(most)
    if not unpacker.eof:
        raise _bad_gzip("it ends too early")
    return unpacked


def too_large(most: int) -> Problem:
    """Return the problem of a body beyond the limit."""
    return Problem(
        "body-too-large",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has more than {most} bytes",
        field="body",
        remedy="send smaller batches",
    )


def _bad_gzip(detail: str) -> Problem:
    return Problem(
        "bad-gzip",
        HTTPStatus.BAD_REQUEST,
        f"the body is not valid gzip: {detail}",
        field="Content-Encoding",
        remedy="send plain JSON, or one gzip member",
    )


class BodyBounds:
    """ASGI middleware: reads the body up to its limit, unpacks gzip, and hands it on whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        try:
            body = await _read(receive, most_bytes(scope["path"]))
            encoding = headers.get(b"content-encoding", b"identity").lower()
            if encoding == b"gzip":
                body = gunzip(body, most_bytes(scope["path"]))
            elif encoding != b"identity":
                raise _unknown_encoding(encoding)
        except Problem as problem:
            await _refuse(problem, send)
            return
        kept = [(k, v) for k, v in scope["headers"] if k not in (b"content-encoding", b"content-length")]
        kept.append((b"content-length", str(len(body)).encode()))
        await self._app({**scope, "headers": kept}, _once(body, receive), send)


async def _read(receive: Receive, most: int) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > most:
            raise too_large(most)
        more = message.get("more_body", False) and message["type"] == "http.request"
    return bytes(body)


def _once(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _unknown_encoding(encoding: bytes) -> Problem:
    return Problem(
        "encoding-unknown",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        f"bodies are sent plain or as gzip, got {encoding.decode('latin-1')!r}",
        field="Content-Encoding",
        remedy="send gzip or no Content-Encoding",
    )


async def _refuse(problem: Problem, send: Send) -> None:
    body = json.dumps(problem.body(PROBLEM_BASE), ensure_ascii=False).encode()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    if problem.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        headers.append((b"connection", b"close"))  # the rest of the body was not read
    await send({"type": "http.response.start", "status": int(problem.status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
