"""`bench cloud`: what the service does per second, on PostgreSQL with fsync, beside plain routes of its own.

Two worker processes, PostgreSQL and the load generator share the machine's cores.
"""

import json
import resource
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from cloud_endpoint.base.clock import system_clock
from cloud_endpoint.bench import crash, fleet, growth, storm
from cloud_endpoint.bench.city import City, build, checks
from cloud_endpoint.bench.load import json_request, percentile
from cloud_endpoint.bench.postgres import private_cluster
from cloud_endpoint.bench.serving import PG_OPTIONS, answered, served
from cloud_endpoint.database.engine import open_engine
from cloud_endpoint.database.schema import migrate

ROUNDS = 3
CHECKS = 2000


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


def run(*, big_city: bool, kept_in: Path | None, poles: int) -> None:
    """Measure, print a table and one JSON line; `kept_in` is where the large city is, or will be."""
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
            fleet_told = storm.storm(engine, port, poles)
            console.print(f"fleet: {fleet_told}")
            crashed = crash.crash(
                engine, cluster, build(engine, "crash", 500, 500, system_clock()), port, pid, 500
            )
            console.print(f"worker killed, database restarted: {crashed}")
        engine.dispose()
    ratio = growth.ratio(console, kept_in) if big_city else None
    _print(
        console,
        Figures(
            **figures,
            ingest_events_per_s=round(ingested),
            million_over_ten_thousand=ratio,
            fleet_lost=fleet_told.lost,
            fleet_twice=fleet_told.twice,
            fleet_5xx=fleet_told.answers_5xx,
            crash_lost=crashed.lost,
            crash_two_answers=crashed.two_answers,
            crash_5xx=crashed.impolite_5xx,
        ),
    )


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
            shots, took_s = answered(port, messages)
            if number:  # the first round warms up
                rates[kind].append(len(shots) / took_s)
                console.print(f"round {number}: {kind:5} {len(shots) / took_s:7.0f}/s")
    best = statistics.median(rates["check"])
    half = list(checks(engine, city, "half", CHECKS, system_clock()))
    shots, _ = answered(port, half, rate_per_s=best / 2)
    return {
        "checks_per_s": round(best),
        "over_plain_route": round(best / statistics.median(rates["plain"]), 3),
        "empty_route_per_s": round(statistics.median(rates["empty"])),
        "p99_ms_half_load": round(1000 * percentile((s.latency_s for s in shots), 0.99), 1),
    }


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
