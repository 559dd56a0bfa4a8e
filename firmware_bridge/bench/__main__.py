"""`python -m firmware_bridge.bench`: a table of figures and, last, one line of JSON.

Needs a quiet machine: the wire's margins are fractions of a millisecond. Peers run interleaved with us
against the same simulator process, so that a busy moment hits all of them; the median of the rounds counts.
"""

import argparse
import json
import statistics
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from firmware_bridge.bench import wire
from firmware_bridge.bench.honesty import false_drive_ins, false_unseen
from firmware_bridge.bench.memory import memory_growth_kib
from firmware_bridge.bench.torture import torture
from firmware_bridge.profile_folders import load_profiles
from firmware_bridge.profiles import SensorProfile
from firmware_bridge.settings import DEFAULT_FAULT_AFTER_S
from firmware_bridge.simulator.config import standard_profile_directories

_BAUDRATES = (9600, 19200, 115200)
_LIMITS = {9600: 1.05, 19200: 1.05, 115200: 1.10}
_ORDER = (
    "bench",
    "cycle_over_limit",
    "over_pymodbus_sync",
    "over_pymodbus_async",
    "dead3_over_healthy",
    "wrong_values",
    "missed_changes",
    "cpu_percent",
    "tcp_cycle_over_limit",
    "scan_worst_age_s",
    "false_drive_ins_beyond_bound",
    "false_unseen",
)
_ROUNDS = 5
_CPU_LIMITS = {9600: 5.0, 115200: 15.0}
_ARRIVALS = 10_000
_MEMORY_CYCLES = 1_000_000
_LATE_S = 1200.0
_SHARES = 10  # of the torture: one after the other on each processor, with a seed of its own
_PROBE: dict[str, Any] = {"transactions": 10_000, "seed": 99, "cycle_s": 60.0, "good_cycle_s": 60.0}


def main() -> int:
    parser = argparse.ArgumentParser(prog="firmware_bridge.bench", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--transactions",
        type=int,
        default=1_000_000,
        help="simulated ones on the rotten line; 11500000 give a million changes",
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each stretch on the wire")
    parser.add_argument("--profiles", type=Path, help="folder of sensor profiles")
    arguments = parser.parse_args()
    folders = [arguments.profiles] if arguments.profiles else standard_profile_directories()
    profiles = load_profiles(folders)
    console = Console()
    table = Table("figure", "reached", "target", title="bus bench")
    result: dict[str, Any] = {"bench": "bus"}
    _cycles(profiles, arguments.seconds, table, result)
    _dead(profiles, arguments.seconds, table, result)
    _tools(profiles, arguments.seconds, table, result)
    _honesty(profiles, table, result)
    _torture(profiles, arguments.transactions, table, result)
    console.print(table)
    print(json.dumps({key: result[key] for key in _ORDER} | result))
    return 0


def _cycles(profiles: dict[str, SensorProfile], seconds: float, table: Table, result: dict[str, Any]) -> None:
    over_limit, over_sync, over_async, cpu = {}, {}, {}, {}
    for baudrate in _BAUDRATES:
        rounds = []
        with wire.simulated(baudrate) as bus:
            for _ in range(_ROUNDS):
                mine = wire.ours(bus, profiles, seconds)
                rounds.append((mine, wire.pymodbus_sync(bus, seconds), wire.pymodbus_async(bus, seconds)))
            limit_s, violations = bus.limit_s, bus.violations()
        name = str(baudrate)
        cycle_s = statistics.median(mine.cycle_s for mine, _, _ in rounds)
        over_limit[name] = round(cycle_s / limit_s, 3)
        over_sync[name] = round(statistics.median(peer.cycle_s / mine.cycle_s for mine, peer, _ in rounds), 3)
        over_async[name] = round(
            statistics.median(peer.cycle_s / mine.cycle_s for mine, _, peer in rounds), 3
        )
        text = f"{over_limit[name]} ({cycle_s * 1000:.1f} ms of {limit_s * 1000:.1f})"
        table.add_row(f"cycle over the wire's limit, {baudrate} baud", text, f"<= {_LIMITS[baudrate]}")
        table.add_row(f"pymodbus sync over ours, {baudrate}", str(over_sync[name]), ">= 1.1")
        table.add_row(f"pymodbus async over ours, {baudrate}", str(over_async[name]), ">= 0.97")
        if baudrate in _CPU_LIMITS:
            cpu[name] = round(statistics.median(mine.cpu_percent for mine, _, _ in rounds), 2)
            table.add_row(f"CPU of one core, {baudrate}", f"{cpu[name]} %", f"<= {_CPU_LIMITS[baudrate]} %")
        errors = [sum(round_[at].errors for round_ in rounds) for at in range(3)]
        table.add_row(f"failed requests ours / sync / async, {baudrate}", " / ".join(map(str, errors)), "0")
        table.add_row(f"requests inside t3.5, all three, {baudrate}", str(violations), "0")
    result |= {"cycle_over_limit": over_limit, "over_pymodbus_sync": over_sync}
    result |= {"over_pymodbus_async": over_async, "cpu_percent": cpu}


def _dead(profiles: dict[str, SensorProfile], seconds: float, table: Table, result: dict[str, Any]) -> None:
    # Long enough for the dead ones' probes to come as often as they do in the long run.
    with wire.simulated(9600) as bus:
        healthy = wire.ours(bus, profiles, 2 * seconds)
        dead = wire.ours(bus, profiles, 4 * seconds, dead=3)
    result["dead3_over_healthy"] = round(dead.cycle_s / healthy.cycle_s, 3)
    table.add_row(
        "cycle of the living, 3 of 16 dead, over healthy", str(result["dead3_over_healthy"]), "<= 1.10"
    )


def _tools(profiles: dict[str, SensorProfile], seconds: float, table: Table, result: dict[str, Any]) -> None:
    result["tcp_cycle_over_limit"] = round(wire.gateway_cycle_over_limit(profiles, 2 * seconds), 3)
    row = f"cycle over the limit of a TCP gateway of {wire.GATEWAY_LATENCY_S * 1000:g} ms"
    table.add_row(row, str(result["tcp_cycle_over_limit"]), "<= 1.11")
    with wire.simulated(9600) as bus:
        result["scan_worst_age_s"] = round(wire.scan_worst_age_s(bus, profiles), 2)
    row = f"oldest reading while ids are scanned (fault limit {DEFAULT_FAULT_AFTER_S:g} s)"
    table.add_row(row, f"{result['scan_worst_age_s']} s", f"<= {DEFAULT_FAULT_AFTER_S / 2:g} s")


def _honesty(profiles: dict[str, SensorProfile], table: Table, result: dict[str, Any]) -> None:
    with ProcessPoolExecutor() as pool:
        beyond = pool.submit(false_drive_ins, profiles, seconds=_LATE_S, seed=1)
        honest = pool.submit(false_unseen, profiles, arrivals=_ARRIVALS, seed=1)
        result["false_drive_ins_beyond_bound"] = beyond.result()
        arrivals, result["false_unseen"] = honest.result()
    row = f"false drive-ins in {2 * _LATE_S / 60:g} min of replies beyond the bound"
    table.add_row(row, str(result["false_drive_ins_beyond_bound"]), "0")
    table.add_row(f"unseen ones of {arrivals} honest arrivals", str(result["false_unseen"]), "0")


def _torture(
    profiles: dict[str, SensorProfile], transactions: int, table: Table, result: dict[str, Any]
) -> None:
    # A cycle is what it is on this line: the mean time between two good readings of one sensor.
    shares = [transactions // _SHARES + (at < transactions % _SHARES) for at in range(_SHARES)]
    with ProcessPoolExecutor() as pool:
        calm = pool.submit(torture, profiles, **_PROBE, rotten=False).result()
        rotten = pool.submit(torture, profiles, **_PROBE).result()
        growth = pool.submit(memory_growth_kib, profiles, min(transactions, _MEMORY_CYCLES))
        run_share = partial(torture, profiles, cycle_s=rotten.cycle_s, good_cycle_s=calm.cycle_s)
        runs = [
            pool.submit(run_share, transactions=share, seed=seed)
            for seed, share in enumerate(shares, start=1)
        ]
        total = Counter[str]()
        for run in runs:
            total.update({key: int(value) for key, value in asdict(run.result()).items()})
        memory_kib = growth.result()
    counted = ("wrong_values", "missed_changes", "transactions", "changes")
    result |= {key: total[key] for key in (*counted, "quick_changes", "missed_quick_changes")}
    result |= {"memory_growth_kib": memory_kib, "memory_cycles": min(transactions, _MEMORY_CYCLES)}
    result["missed_per_100000_changes"] = round(100_000 * total["missed_changes"] / total["changes"], 2)
    table.add_row(f"wrong values in {total['transactions']} transactions", str(total["wrong_values"]), "0")
    row = f"missed of {total['changes']} changes longer than 2 cycles ({2 * rotten.cycle_s:.2f} s)"
    table.add_row(row, str(total["missed_changes"]), "<= 1 in 100,000")
    row = f"missed of {total['quick_changes']} quicker ones, down to 2 cycles of a good line"
    table.add_row(f"{row} ({2 * calm.cycle_s:.2f} s)", str(total["missed_quick_changes"]), "")
    row = f"memory grown over {result['memory_cycles']} cycles, after the first tenth"
    table.add_row(row, f"{memory_kib} KiB", "flat")


if __name__ == "__main__":
    sys.exit(main())
