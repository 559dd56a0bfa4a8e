"""A worker is killed and the database crashes while drivers order: is an order lost, or answered two ways?"""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select

from cloud_endpoint.base.clock import system_clock
from cloud_endpoint.bench.city import City, checks
from cloud_endpoint.bench.load import read_answer
from cloud_endpoint.bench.postgres import Cluster
from cloud_endpoint.database.engine import reading
from cloud_endpoint.database.tables import order_events, orders

CONNECTIONS = 8
TIMEOUT_S = 30
RETRY_S = 0.2


@dataclass(slots=True, kw_only=True)
class Crash:
    """What became of the orders. A 503 that says when to come back is polite, any other 5xx is not."""

    orders: int
    lost: int = 0  # answered, but not stored so
    two_answers: int = 0  # asked again with the same key, answered in another way, or done twice
    impolite_5xx: int = 0
    polite_503: int = 0
    cut_off: int = 0  # connections that broke; the request was sent again


def crash(engine: Engine, cluster: Cluster, city: City, port: int, pid: int, number: int) -> Crash:
    """Submit `number` orders, each until answered; kill a worker after a quarter, the database at half."""
    told = Crash(orders=number)
    messages = [
        message.replace(b"\r\n", f"\r\nIdempotency-Key: crash-{n}\r\n".encode(), 1)
        for n, message in enumerate(checks(engine, city, "crash", number, system_clock()))
    ]
    answers = asyncio.run(_all(port, messages, told, cluster, pid))
    engine.dispose()  # its connections died with the database
    again = asyncio.run(_all(port, messages, told, None, pid))
    told.two_answers += sum(again[n] != answers[n] for n in answers)
    _compare(engine, answers, told)
    return told


async def _all(
    port: int, messages: list[bytes], told: Crash, cluster: Cluster | None, pid: int
) -> dict[int, dict[str, object]]:
    answers: dict[int, dict[str, object]] = {}
    waiting = iter(range(len(messages)))
    quarter, half = len(messages) // 4, len(messages) // 2
    down = asyncio.Event()  # the database crashes under some drivers, and is down for the next ones

    async def driver() -> None:
        for n in waiting:
            if cluster is not None and n >= half + CONNECTIONS:
                await down.wait()
            answers[n] = await _until_answered(port, messages[n], told)

    async def accidents() -> None:
        if cluster is None:
            return
        await _until(lambda: len(answers) >= quarter)
        os.kill(workers(pid)[0], signal.SIGKILL)
        await _until(lambda: len(answers) >= half)
        await asyncio.to_thread(cluster.stop, "immediate")
        felt = told.cut_off + told.polite_503 + told.impolite_5xx
        down.set()
        await _until(lambda: told.cut_off + told.polite_503 + told.impolite_5xx > felt)
        await asyncio.to_thread(cluster.start)

    await asyncio.gather(accidents(), *(driver() for _ in range(CONNECTIONS)))
    return answers


def workers(pid: int) -> list[int]:
    """Return the processes that serve, of uvicorn's first process; its resource tracker is none of them."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def _until_answered(port: int, message: bytes, told: Crash) -> dict[str, object]:
    while True:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(message)
                    status, headers, body = await read_answer(reader)
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            told.cut_off += 1
        else:
            if status < 500:
                answer: dict[str, object] = json.loads(body)
                return answer
            polite = status == 503 and "retry-after" in headers
            told.polite_503 += polite
            told.impolite_5xx += not polite
        await asyncio.sleep(RETRY_S)


def _compare(engine: Engine, answers: dict[int, dict[str, object]], told: Crash) -> None:
    """Hold what was answered against what is stored."""
    with reading(engine) as connection:
        rows = connection.execute(select(orders.c.order_id, orders.c.state, orders.c.submissions))
        stored = {order_id: (state, submissions) for order_id, state, submissions in rows}
        submitted = connection.execute(
            select(order_events.c.order_id).where(order_events.c.event == "submit")
        ).scalars()
        times: dict[str, int] = {}
        for order_id in submitted:
            times[order_id] = times.get(order_id, 0) + 1
    for answer in answers.values():
        order_id = str(answer.get("order_id"))
        state, submissions = stored.get(order_id, (None, 0))
        told.lost += state != answer.get("state")
        told.two_answers += submissions > 1 or times.get(order_id, 0) > 1
