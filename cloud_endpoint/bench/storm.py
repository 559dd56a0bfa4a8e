"""A fleet that comes back at once after an outage, each pole with an hour of events.

Each pole waits between its tries as `edged.uplink` does, with the same code. A try is a connection of its
own: behind a phone network the last one did not survive the outage.
"""

import asyncio
import random
import resource
import time
from dataclasses import dataclass, field

from sqlalchemy import Engine, text

from cloud_endpoint.bench.fleet import EVENTS_PER_VISIT, batch, enrol
from cloud_endpoint.bench.load import percentile, read_answer
from cloud_endpoint.bench.postgres import private_cluster
from cloud_endpoint.bench.serving import PG_OPTIONS, BenchFailed, served
from cloud_endpoint.database.engine import open_engine, reading
from cloud_endpoint.database.schema import migrate
from edged.domain.delivery import backoff_s

VISITS = 4
BERTHS = 4
TIMEOUT_S = 10.0  # the uplink's default
SOCKETS = 4000  # open at a time, on this machine; the service sees a new one for each that ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """What became of the fleet's events, and how the poles took their turns."""

    poles: int
    events: int
    lost: int
    twice: int
    answers_5xx: int
    refused: int  # 429, with a time to come back
    cut_off: int  # no answer in time, or a broken connection
    most_tries: int
    half_in_s: float
    last_in_s: float


@dataclass(slots=True)
class _Told:
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    sockets: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SOCKETS))
    answers_5xx: int = 0
    refused: int = 0
    cut_off: int = 0
    tries: list[int] = field(default_factory=list)
    in_s: list[float] = field(default_factory=list)


def run(poles: int) -> Storm:
    """Measure on a service and a PostgreSQL of its own."""
    files = min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    with private_cluster(PG_OPTIONS) as cluster:
        engine = open_engine(cluster.url)
        migrate(engine)
        with served(cluster) as (port, _):
            told = storm(engine, port, poles)
        engine.dispose()
    return told


def storm(engine: Engine, port: int, poles: int) -> Storm:
    """Have all poles connect at once; each tries until its batch is accepted."""
    enrol(engine, "fleet", poles, BERTHS)
    messages = [batch(f"fleet-pole-{n}", 0, VISITS, BERTHS) for n in range(poles)]
    told = _Told()
    asyncio.run(_all_at_once(port, messages, told))
    sent = poles * VISITS * EVENTS_PER_VISIT
    with reading(engine) as connection:
        count = (
            "SELECT count(*), count(DISTINCT device_id || event_id) FROM events WHERE site_id LIKE 'fleet-%'"
        )
        stored, distinct = connection.execute(text(count)).one()
        readings = "SELECT count(*) FROM readings WHERE site_id LIKE 'fleet-%'"
        read = connection.execute(text(readings)).scalar_one()
    return Storm(
        poles=poles,
        events=sent,
        lost=sent - distinct,
        twice=stored - distinct + max(0, read - poles * VISITS),
        answers_5xx=told.answers_5xx,
        refused=told.refused,
        cut_off=told.cut_off,
        most_tries=max(told.tries),
        half_in_s=round(percentile(told.in_s, 0.5), 1),
        last_in_s=round(max(told.in_s), 1),
    )


async def _all_at_once(port: int, messages: list[bytes], told: _Told) -> None:
    started = time.monotonic()
    await asyncio.gather(*(_pole(port, message, told, started) for message in messages))


async def _pole(port: int, message: bytes, told: _Told, started: float) -> None:
    failures = 0
    while True:
        asked_s = None
        try:
            status, asked_s = await _try(port, message, told.sockets)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            told.cut_off += 1
        else:
            if status == 200:
                told.tries.append(failures + 1)
                told.in_s.append(time.monotonic() - started)
                return
            if status != 429 and status < 500:
                raise BenchFailed(f"a pole's batch was answered {status}")
            told.answers_5xx += status >= 500
            told.refused += status == 429
        failures += 1
        await asyncio.sleep(backoff_s(failures, told.rng, asked_s=asked_s))


async def _try(port: int, message: bytes, sockets: asyncio.Semaphore) -> tuple[int, float | None]:
    """Return the answer's status, and when it asks to come back; raises when there is no whole answer."""
    async with sockets, asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(message)
            status, headers, _ = await read_answer(reader)
        finally:
            writer.close()
    asked = headers.get("retry-after")
    return status, float(asked) if asked else None
