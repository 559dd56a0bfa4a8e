"""`bench trust`: is anybody billed for a stranger, or a right driver told to correct a right plate?

The same drivers go through the pure decision (10^6 orders) and through the real service with its
database (10^4), with a pole whose answers take as long as they do on the street. With a file of measured
rates that is done twice: as assumed, and as measured.
"""

import json
import random
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cloud_endpoint.base.check_rules import Rules
from cloud_endpoint.bench import trust_decisions
from cloud_endpoint.bench.stories import Tally, story
from cloud_endpoint.bench.town import Reader, Town, measured_reader
from cloud_endpoint.bench.trust_service import ServiceWorld

TARGETS = {
    "wrong_confirmations": "0",
    "right_told_to_modify_per_1000": "<= 1",
    "pending_within_20_s": ">= 0.99",
    "reviews_share": "<= 0.01",
}
# The same files again and again, none of which outlives the run: no disk is needed.
MEMORY = Path("/dev/shm")


def run(*, visits: int, through_service: int, reader: Path | None, seed: int) -> None:
    """Run both, print a table each and one JSON line."""
    console = Console()
    told: dict[str, Any] = {"bench": "trust"}
    readers = {"assumed": Reader()}
    if reader is not None:
        readers["measured"] = measured_reader(reader)
    for name, rates in readers.items():
        town = Town(reader=rates)
        console.print(f"reader as {name}: {town}")
        decisions, service = _decisions(town, visits, seed), _service(town, through_service, seed)
        _print(console, decisions, service)
        told[name] = {"decisions": decisions.figures(), "service": service.figures()}
    print(json.dumps(told))


def _decisions(town: Town, orders: int, seed: int) -> Tally:
    rng, tally, rules = random.Random(seed), Tally(), Rules(reading_grace_ms=0)
    for _ in range(orders):
        trust_decisions.order(story(town, rng), town, rules, rng, tally)
    return tally


def _service(town: Town, orders: int, seed: int) -> Tally:
    rng, tally = random.Random(seed), Tally()
    where = MEMORY if MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="edged-trust-", dir=where) as folder,
        ServiceWorld(Path(folder)) as world,
    ):
        for _ in range(orders):
            world.order(story(town, rng), town, rng, tally)
    return tally


def _print(console: Console, decisions: Tally, service: Tally) -> None:
    table = Table("figure", "decision code", "service", "target")
    left, right = decisions.figures(), service.figures()
    for name in left:
        table.add_row(name, str(left[name]), str(right[name]), TARGETS.get(name, ""))
    console.print(table)
    console.print(f"ends: {dict(decisions.ends)}; through the service: {dict(service.ends)}")
    console.print(f"sent to review: {dict(decisions.sent_to_review)}")
