"""A load generator: HTTP/1.1 on kept-alive connections, as fast as answers come or at a given rate."""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One request's outcome; with a rate, latency counts from when it was due."""

    status: int
    latency_s: float
    body: bytes


def request(method: str, path: str, token: str, body: bytes, **headers: str) -> bytes:
    """Return the bytes of a request."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: bench",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def json_request(method: str, path: str, token: str, body: Any) -> bytes:
    """Return the bytes of a request with a JSON body."""
    return request(method, path, token, json.dumps(body, ensure_ascii=False).encode())


async def fire(
    port: int, requests: Iterable[bytes], connections: int, rate_per_s: float | None = None
) -> tuple[list[Shot], float]:
    """Send all requests over this many connections; returns their outcomes and the time taken in s."""
    source = iter(enumerate(requests))
    started = time.perf_counter()
    shots: list[Shot] = []
    await asyncio.gather(*(_connection(port, source, shots, started, rate_per_s) for _ in range(connections)))
    return shots, time.perf_counter() - started


async def _connection(
    port: int,
    source: Iterator[tuple[int, bytes]],
    shots: list[Shot],
    started: float,
    rate_per_s: float | None,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for number, message in source:
            due = time.perf_counter()
            if rate_per_s is not None:
                due = started + number / rate_per_s
                if (wait_s := due - time.perf_counter()) > 0:
                    await asyncio.sleep(wait_s)
            writer.write(message)
            status, _headers, body = await read_answer(reader)
            shots.append(Shot(status=status, latency_s=time.perf_counter() - due, body=body))
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers (lower case) and body of one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(head[0].split()[1]), headers, body


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which `share` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
