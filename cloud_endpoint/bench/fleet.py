"""Poles that deliver: their batches, and how many events per second the service takes."""

import asyncio
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text

from cloud_endpoint.base.clock import system_clock
from cloud_endpoint.base.ids import fingerprint
from cloud_endpoint.bench.load import fire, request
from cloud_endpoint.database.engine import writing
from cloud_endpoint.street.registry import RegistryFile, load_registry

SITES = 8
EVENTS_PER_VISIT = 3


_DEVICES = """
INSERT INTO devices (device_id, site_id, token_sha256, public_key, enrolled_ms)
WITH given AS (SELECT CAST(:name AS text) AS name, CAST(:sites AS bigint) AS sites,
                      CAST(:poles AS bigint) AS poles, CAST(:token AS text) AS token)
SELECT name || '-pole-' || n, name || '-' || n % sites, token, repeat('0', 64), 0
FROM given, generate_series(0, poles - 1) n
"""
_BERTHS = """
INSERT INTO berths (site_id, berth_id, berth_no, device_id, kerb_order, in_service)
WITH given AS (SELECT CAST(:name AS text) AS name, CAST(:sites AS bigint) AS sites,
                      CAST(:poles AS bigint) AS poles, CAST(:berths AS bigint) AS berths)
SELECT name || '-' || n % sites, name || '-b' || n || '-' || b, name || '-' || n || '-' || b,
       name || '-pole-' || n, b, true
FROM given, generate_series(0, poles - 1) n, generate_series(0, berths - 1) b
"""
_ASSIGNED = """
INSERT INTO berth_assignments (site_id, device_id, berth_no, from_ms, berth_id)
SELECT site_id, device_id, berth_no, 0, berth_id FROM berths WHERE site_id LIKE CAST(:name AS text) || '-%'
"""


def enrol(engine: Engine, name: str, poles: int, berths: int) -> None:
    """Register poles `NAME-pole-N` with this many berths each."""
    sites = [f"{name}-{number}" for number in range(SITES)]
    with writing(engine) as connection:
        registry = {"sites": [{"site_id": site, "name": site} for site in sites]}
        load_registry(connection, RegistryFile.model_validate(registry), system_clock())
        values = {"name": name, "sites": SITES, "poles": poles, "berths": berths}
        connection.execute(text(_DEVICES), values | {"token": fingerprint("pole-token")})
        connection.execute(text(_BERTHS), values)
        connection.execute(text(_ASSIGNED), {"name": name})
        connection.execute(text("ANALYZE devices, berths, berth_assignments"))


def batch(device_id: str, first_visit: int, visits: int, berths: int) -> bytes:
    """Return a sync request: visits of the past hour, each with drive-in, reading and drive-out."""
    now = datetime.now(UTC)
    events: list[dict[str, Any]] = []
    for number in range(first_visit, first_visit + visits):
        berth_no = f"{device_id.replace('-pole', '')}-{number % berths}"
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
    berths, visits = 8, 33
    enrol(engine, "ingest", poles, berths)
    warm = [batch(f"ingest-pole-{n}", 0, berths, berths) for n in range(poles)]
    asyncio.run(fire(port, warm, 16))
    messages = [
        batch(f"ingest-pole-{n % poles}", berths + n // poles * visits, visits, berths)
        for n in range(batches)
    ]
    shots, took_s = asyncio.run(fire(port, messages, 16))
    accepted = sum(shot.body.count(b'"accepted"') for shot in shots)
    assert accepted == batches * visits * EVENTS_PER_VISIT, f"{accepted} accepted"
    return accepted / took_s
