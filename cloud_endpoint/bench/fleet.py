"""Poles that deliver: how many events per second, and what becomes of 10,000 that come back at once."""

import asyncio
import gzip
import json
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text

from cloud_endpoint.bench.load import fire, read_answer, request
from cloud_endpoint.clock import system_clock
from cloud_endpoint.database import writing
from cloud_endpoint.ids import fingerprint
from cloud_endpoint.registry import RegistryFile, load_registry

SITES = 8
CLIENT_TIMEOUT_S = 30
EVENTS_PER_VISIT = 3


_DEVICES = """
INSERT INTO devices (device_id, site_id, token_sha256, public_key, enrolled_ms)
WITH given AS (SELECT CAST(:name AS text) AS name, CAST(:sites AS bigint) AS sites,
                      CAST(:poles AS bigint) AS poles, CAST(:token AS text) AS token)
SELECT name || '-pole-' || n, name || '-' || n % sites, token, repeat('0', 64), 0
FROM given, generate_series(0, poles - 1) n
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """What became of the fleet's events; `refused` counts polite refusals that were tried again."""

    poles: int
    events: int
    took_s: float
    lost: int
    twice: int
    answers_5xx: int
    refused: int


def _enrol(engine: Engine, name: str, poles: int) -> None:
    sites = [f"{name}-{number}" for number in range(SITES)]
    with writing(engine) as connection:
        registry = {"sites": [{"site_id": site, "name": site} for site in sites]}
        load_registry(connection, RegistryFile.model_validate(registry), system_clock())
        values = {"name": name, "sites": SITES, "poles": poles, "token": fingerprint("pole-token")}
        connection.execute(text(_DEVICES), values)


def _batch(device_id: str, first_visit: int, visits: int, berths: int) -> bytes:
    """Return a sync request: visits of the past hour, each with drive-in, reading and drive-out."""
    now = datetime.now(UTC)
    events: list[dict[str, Any]] = []
    for number in range(first_visit, first_visit + visits):
        berth_no = f"{device_id}-{number % berths}"[-32:]
        begin = now - timedelta(seconds=3600 - 30 * (number - first_visit))
        common = {"berth_no": berth_no, "visit_id": f"{device_id}-v{number}", "clock_synced": True}
        parts: list[dict[str, Any]] = [
            {"kind": "drive_in", "cause": "sensor"},
            {
                "kind": "reading",
                "plate": f"京A{number % 100_000:05d}",
                "plate_kind": "small_car",
                "characters": [0.99] * 7,
                "confidence": 0.99,
                "accepted": True,
                "evidence_sha256": None,
                "captured_at": begin.isoformat(),
                "model_version": "bench",
            },
            {"kind": "drive_out", "cause": "sensor"},
        ]
        for part_number, part in enumerate(parts):
            sequence = number * EVENTS_PER_VISIT + part_number + 1
            observed = begin + timedelta(seconds=10 * part_number)
            events.append(
                {
                    **common,
                    **part,
                    "event_id": f"{device_id}-e{sequence}",
                    "sequence": sequence,
                    "observed_at": observed.isoformat(),
                }
            )
    body = {
        "wire_version": 1,
        "sent_at": now.isoformat(),
        "clock_synced": True,
        "software_version": "bench",
        "health": {"status": "ok"},
        "berths": [],
        "events": events,
    }
    packed = gzip.compress(json.dumps(body).encode(), compresslevel=1)
    path = f"/v1/devices/{device_id}/events"
    return request("POST", path, "pole-token", packed, Content_Encoding="gzip")


def ingest_rate(engine: Engine, port: int, poles: int = 64, batches: int = 300) -> float:
    """Return events per second of many poles, known with their berths, that deliver batches of 99."""
    _enrol(engine, "ingest", poles)
    visits = 33
    warm = [_batch(f"ingest-pole-{n}", 0, 8, 8) for n in range(poles)]
    asyncio.run(fire(port, warm, 16))
    messages = [
        _batch(f"ingest-pole-{n % poles}", 8 + n // poles * visits, visits, 8) for n in range(batches)
    ]
    shots, took_s = asyncio.run(fire(port, messages, 16))
    accepted = sum(shot.body.count(b'"accepted"') for shot in shots)
    assert accepted == batches * visits * EVENTS_PER_VISIT, f"{accepted} accepted"
    return accepted / took_s


def storm(engine: Engine, port: int, poles: int, visits: int = 4) -> Storm:
    """Have all poles connect at once, each with an hour of events; each retries politely until accepted."""
    _enrol(engine, "fleet", poles)
    messages = [_batch(f"fleet-pole-{n}", 0, visits, 4) for n in range(poles)]
    counts = {"5xx": 0, "refused": 0}
    started = time.perf_counter()
    asyncio.run(_all_at_once(port, messages, counts))
    took_s = time.perf_counter() - started
    sent = poles * visits * EVENTS_PER_VISIT
    with writing(engine) as connection:
        count = (
            "SELECT count(*), count(DISTINCT device_id || event_id) FROM events WHERE site_id LIKE 'fleet-%'"
        )
        stored, distinct = connection.execute(text(count)).one()
        seen = connection.execute(
            text("SELECT count(*) FROM readings WHERE site_id LIKE 'fleet-%'")
        ).scalar_one()
    return Storm(
        poles=poles,
        events=sent,
        took_s=round(took_s, 1),
        lost=sent - distinct,
        twice=stored - distinct + max(0, seen - poles * visits),
        answers_5xx=counts["5xx"],
        refused=counts["refused"],
    )


async def _all_at_once(port: int, messages: list[bytes], counts: dict[str, int]) -> None:
    rng = random.Random(1)
    await asyncio.gather(*(_deliver(port, message, counts, rng) for message in messages))


async def _deliver(port: int, message: bytes, counts: dict[str, int], rng: random.Random) -> None:
    """One pole: tries until accepted, with a doubling wait and full jitter, or as long as it is told to."""
    for attempt in range(1000):
        wait_s = rng.uniform(0, min(60.0, 1.0 * 2**attempt))
        try:
            async with asyncio.timeout(CLIENT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(message)
                    status, headers, _ = await read_answer(reader)
                finally:
                    writer.close()
            if status == 200:
                return
            counts["5xx"] += status >= 500
            counts["refused"] += status == 429
            if "retry-after" in headers:
                wait_s = float(headers["retry-after"]) * rng.uniform(1, 2)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            counts["refused"] += 1
        await asyncio.sleep(wait_s)
