"""How a check grows with its city: the median of 1,000,000 berths and 10,000,000 visits over that of 10,000.

Each city has a PostgreSQL and a service of its own; checks go to the two in turns. The large city takes
minutes to build and about 4 GB: kept in a folder, it can be measured again at once.
"""

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from sqlalchemy import Engine, text

from cloud_endpoint.base.clock import system_clock
from cloud_endpoint.bench.city import City, build, checks
from cloud_endpoint.bench.postgres import kept_cluster, private_cluster
from cloud_endpoint.bench.serving import PG_OPTIONS, BenchFailed, answered, served
from cloud_endpoint.database.engine import open_engine, writing
from cloud_endpoint.database.schema import migrate

ROUNDS = 3
CHECKS = 1000  # of each city in a round; each round meets other berths
IN_A_TURN = 50
YEARS_S = 10 * 365 * 86_400  # a kept city's readings are as old as the city
_TOKENS = "tokens.json"  # written last: who finds it finds a whole city


def keep(console: Console, folder: Path) -> None:
    """Build the large city in a folder, unless it is there; raises BenchFailed for half of one."""
    if (folder / _TOKENS).exists():
        console.print(f"{folder} holds the large city already")
        return
    if folder.exists() and any(folder.iterdir()):
        raise BenchFailed(f"{folder} holds no finished city: delete it, or name another folder")
    started = time.monotonic()
    with kept_cluster(folder, PG_OPTIONS) as cluster:
        engine = open_engine(cluster.url)
        city = _large(engine)
        size = _size(engine)
        engine.dispose()
    (folder / _TOKENS).write_text(json.dumps(city.tokens))
    console.print(f"large city built in {time.monotonic() - started:.0f} s, database {size}")


def ratio(console: Console, folder: Path | None) -> float:
    """Return the large city's median check over the small one's; a folder keeps the large city."""
    with ExitStack() as stack:
        small_cluster = stack.enter_context(private_cluster(PG_OPTIONS))
        engines = {"small": open_engine(small_cluster.url)}
        migrate(engines["small"])
        cities = {"small": build(engines["small"], "small", 10_000, 100_000, system_clock())}
        if folder is None:
            large_cluster = stack.enter_context(private_cluster(PG_OPTIONS))
            engines["large"] = open_engine(large_cluster.url)
            cities["large"] = _large(engines["large"])
        else:
            keep(console, folder)
            large_cluster = stack.enter_context(kept_cluster(folder, PG_OPTIONS))
            engines["large"] = open_engine(large_cluster.url)
            migrate(engines["large"])  # it may be an older version's
            cities["large"] = City(tokens=json.loads((folder / _TOKENS).read_text()), berths_per_site=10_000)
        ports = {}
        for name, cluster in (("small", small_cluster), ("large", large_cluster)):
            stack.callback(engines[name].dispose)
            _as_built(engines[name])
            ports[name], _ = stack.enter_context(served(cluster, check_reading_max_age_s=YEARS_S))
        ratios = list(_rounds(console, engines, cities, ports))
    return round(statistics.median(ratios), 3)


def _large(engine: Engine) -> City:
    migrate(engine)
    return build(engine, "large", 1_000_000, 10_000_000, system_clock())


def _as_built(engine: Engine) -> None:
    """Forget the orders of an earlier measurement, and have the city in memory as after days of service."""
    with writing(engine) as connection:
        connection.execute(text("TRUNCATE orders, order_candidates, order_events, holds, captures, webhooks"))
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_prewarm"))
        connection.execute(
            text(
                "SELECT sum(pg_prewarm(c.oid, 'read')) FROM pg_class c "
                "JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE n.nspname = 'public' AND c.relkind IN ('r', 'i')"
            )
        )


def _size(engine: Engine) -> str:
    with writing(engine) as connection:
        size = "SELECT pg_size_pretty(pg_database_size(current_database()))"
        return str(connection.execute(text(size)).scalar())


def _rounds(
    console: Console, engines: dict[str, Engine], cities: dict[str, City], ports: dict[str, int]
) -> Iterator[float]:
    """Yield the ratio of each round; the first one, which is not told, has statements prepared."""
    for number in range(ROUNDS + 1):
        messages = {
            name: list(checks(engines[name], city, f"g{number}", CHECKS, system_clock(), first=2 * number))
            for name, city in cities.items()
        }
        latencies_s: dict[str, list[float]] = {name: [] for name in cities}
        for turn in range(0, CHECKS, IN_A_TURN):
            for name, port in ports.items():
                shots, _ = answered(port, messages[name][turn : turn + IN_A_TURN], connections=1)
                latencies_s[name] += [shot.latency_s for shot in shots]
        small_ms, large_ms = (1000 * statistics.median(latencies_s[name]) for name in ("small", "large"))
        if number:
            console.print(
                f"round {number}: median check {small_ms:.2f} ms of 10,000 berths, {large_ms:.2f} ms of "
                f"1,000,000: {large_ms / small_ms:.3f}"
            )
            yield large_ms / small_ms
