"""`bench cloud`: what the service does per second, on PostgreSQL with fsync, beside plain routes of its own.

Two worker processes, PostgreSQL and the load generator share the machine's cores.
"""

import asyncio
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import requests
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, text

from cloud_endpoint.api.app import KEEP_ALIVE_S
from cloud_endpoint.bench import crash, fleet
from cloud_endpoint.bench.city import City, build, checks
from cloud_endpoint.bench.load import Shot, fire, json_request, percentile
from cloud_endpoint.bench.postgres import Cluster, private_cluster
from cloud_endpoint.clock import system_clock
from cloud_endpoint.database import open_engine, reading
from cloud_endpoint.errors import CloudError
from cloud_endpoint.schema import migrate

WORKERS = 2
CONNECTIONS = 16
ROUNDS = 3
CHECKS = 2000
PG_OPTIONS = (
    "-c fsync=on -c synchronous_commit=on -c shared_buffers=256MB -c max_connections=150 -c max_wal_size=4GB"
)


class BenchFailed(CloudError):
    """A request that should have been answered was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The last line of the output."""

    bench: str = "cloud"
    checks_per_s: float
    over_plain_route: float
    empty_route_per_s: float
    p99_ms_half_load: float
    ingest_events_per_s: float
    million_over_ten_thousand: float | None
    fleet_lost: int
    fleet_twice: int
    fleet_5xx: int
    crash_lost: int
    crash_two_answers: int
    crash_5xx: int  # but for a 503 that says when to come back


def run(*, big_city: bool, poles: int) -> None:
    """Measure, print a table and one JSON line."""
    console = Console(stderr=False)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2
    )
    with private_cluster(PG_OPTIONS) as cluster:
        engine = open_engine(cluster.url)
        migrate(engine)
        city = build(engine, "small", 10_000, 100_000, system_clock())
        with served(cluster) as (port, pid):
            figures = _small_city(console, engine, city, port)
            ingested = fleet.ingest_rate(engine, port)
            console.print(f"ingest: {ingested:.0f} events/s")
            storm = fleet.storm(engine, port, poles)
            console.print(f"fleet: {storm}")
            crashed = crash.crash(
                engine, cluster, build(engine, "crash", 500, 500, system_clock()), port, pid, 500
            )
            console.print(f"worker killed, database restarted: {crashed}")
            ratio = None
            if big_city:
                ratio = _big_over_small(console, engine, city, port)
        engine.dispose()
    _print(
        console,
        Figures(
            **figures,
            ingest_events_per_s=round(ingested),
            million_over_ten_thousand=ratio,
            fleet_lost=storm.lost,
            fleet_twice=storm.twice,
            fleet_5xx=storm.answers_5xx,
            crash_lost=crashed.lost,
            crash_two_answers=crashed.two_answers,
            crash_5xx=crashed.impolite_5xx,
        ),
    )


@contextmanager
def served(cluster: Cluster, **settings: object) -> Iterator[tuple[int, int]]:
    """Run the service with its workers; yields its port, and the process that its workers are children of."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "EDGED_CLOUD_DATABASE_URL": cluster.url,
        "EDGED_CLOUD_DATABASE_POOL_SIZE": "20",
        **{f"EDGED_CLOUD_{name.upper()}": str(value) for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "uvicorn", "cloud_endpoint.bench.app:app_from_environment", "--factory"]
    command += ["--port", str(port), "--workers", str(WORKERS), "--no-access-log", "--log-level", "warning"]
    command += ["--timeout-keep-alive", str(KEEP_ALIVE_S)]
    with subprocess.Popen(command, env=environment) as process:
        try:
            _wait_ready(port, process)
            yield port, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                return
        except requests.ConnectionError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchFailed("the service did not start")
        time.sleep(0.1)


def _small_city(console: Console, engine: Engine, city: City, port: int) -> dict[str, Any]:
    """Rounds of empty, plain and check, one after the other, so that all meet the same machine."""
    rates: dict[str, list[float]] = {"empty": [], "plain": [], "check": []}
    for number in range(ROUNDS + 1):
        ready = list(checks(engine, city, f"r{number}", CHECKS, system_clock()))
        plain = [
            message.replace(b"/v1/orders/", b"/bench/").replace(b"/submit", b"/plain") for message in ready
        ]
        empty = [json_request("POST", "/bench/empty", "x", {})] * CHECKS
        for kind, messages in (("empty", empty), ("plain", plain), ("check", ready)):
            shots, took_s = _measured(port, messages)
            if number:  # the first round warms up
                rates[kind].append(len(shots) / took_s)
                console.print(f"round {number}: {kind:5} {len(shots) / took_s:7.0f}/s")
    best = statistics.median(rates["check"])
    half = list(checks(engine, city, "half", CHECKS, system_clock()))
    shots, _ = _measured(port, half, rate_per_s=best / 2)
    return {
        "checks_per_s": round(best),
        "over_plain_route": round(best / statistics.median(rates["plain"]), 3),
        "empty_route_per_s": round(statistics.median(rates["empty"])),
        "p99_ms_half_load": round(1000 * percentile((s.latency_s for s in shots), 0.99), 1),
    }


def _measured(
    port: int, messages: list[bytes], rate_per_s: float | None = None, connections: int = CONNECTIONS
) -> tuple[list[Shot], float]:
    shots, took_s = asyncio.run(fire(port, messages, connections, rate_per_s))
    wrong = [shot for shot in shots if shot.status != 200]
    if wrong:
        raise BenchFailed(f"{len(wrong)} of {len(shots)} answers: {wrong[0].status} {wrong[0].body[:300]!r}")
    return shots, took_s


def _big_over_small(console: Console, engine: Engine, small: City, port: int) -> float:
    """The median check at 1,000,000 berths and 10,000,000 visits over that at 10,000 berths, in turns."""
    started = time.monotonic()
    big = build(engine, "big", 1_000_000, 10_000_000, system_clock())
    with reading(engine) as connection:
        size = connection.execute(
            text("SELECT pg_size_pretty(pg_database_size(current_database()))")
        ).scalar()
    console.print(f"big city built in {time.monotonic() - started:.0f} s, database {size}")
    medians: dict[str, list[float]] = {"small": [], "big": []}
    for number in range(ROUNDS):
        for name, city in (("small", small), ("big", big)):
            messages = list(checks(engine, city, f"{name}{number}", 1000, system_clock()))
            shots, _ = _measured(port, messages, connections=1)
            medians[name].append(statistics.median(s.latency_s for s in shots))
            console.print(f"{name}: median check {1000 * medians[name][-1]:.2f} ms")
    return round(statistics.median(medians["big"]) / statistics.median(medians["small"]), 3)


def _print(console: Console, figures: Figures) -> None:
    table = Table("figure", "measured", "target")
    targets = {
        "checks_per_s": ">= 200",
        "over_plain_route": ">= 0.7",
        "p99_ms_half_load": "<= 60",
        "ingest_events_per_s": ">= 3000",
        "million_over_ten_thousand": "<= 1.3",
        "fleet_lost": "0",
        "fleet_twice": "0",
        "fleet_5xx": "0",
        "crash_lost": "0",
        "crash_two_answers": "0",
        "crash_5xx": "0",
    }
    values = asdict(figures)
    for name, value in values.items():
        table.add_row(name, "not measured" if value is None else str(value), targets.get(name, ""))
    console.print(table)
    print(json.dumps(values))
