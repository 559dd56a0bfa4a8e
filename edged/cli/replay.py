"""`edged replay`: a trace of a bus once more through the same code, down to the drive-ins it must give."""

import json
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edged.cli.opening import DEFAULT_CONFIG, ConfigFile, checked_settings
from edged.domain.berth import Berth, IllegalSignal, Instruction, Signal, recalled, step

if TYPE_CHECKING:
    from edged.settings import BerthSettings
    from firmware_bridge import Observation


def replay(
    file: Annotated[Path, typer.Argument(help="What `edged bus trace` wrote.")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Replay a bus trace: what the bytes mean, and which drive-ins and drive-outs follow.

    The berths come from the settings file. Nothing is stored, photographed or sent.
    """
    from edged.cli.bus_desk import bridge_errors
    from edged.sensor_buses import sensor_profiles, sensors_of
    from firmware_bridge.trace import read_trace
    from firmware_bridge.trace import replay as replayed

    settings = checked_settings(config)
    with bridge_errors():
        trace = read_trace(file)
        bus = next((bus for bus in settings.bus if bus.name == trace.header.get("bus")), None)
        if bus is None:
            names = ", ".join(bus.name for bus in settings.bus)
            typer.echo(f"{file} is of bus {trace.header.get('bus')!r}; {config} has {names}", err=True)
            raise typer.Exit(1)
        sensors = sensors_of(settings, bus.name, sensor_profiles(settings))
        observations = replayed(trace, bus, sensors)
        ends_s = float(trace.events[-1]["t"]) if trace.events else 0.0
        for instruction in instructions_of(observations, settings.berth, ends_s):
            row = {"at_s": round(instruction.at_s, 3), "act": instruction.act.value}
            row |= {"berth_no": instruction.berth_no, "cause": instruction.cause.value}
            text = f"{row['at_s']:10.3f} s  {row['act']:<10}  berth {row['berth_no']}  ({row['cause']})"
            typer.echo(json.dumps(row, ensure_ascii=False) if as_json else text)


def instructions_of(
    observations: "Iterable[Observation]", berths: "Iterable[BerthSettings]", ends_s: float
) -> Iterator[Instruction]:
    """Yield what the berths' table makes of observations, settling included, as the daemon would.

    Every berth begins as after a restart without open visits; `ends_s` is when the trace ends.
    """
    from edged.workers.berths import signal_of

    known = {}
    for berth in berths:
        fresh = Berth(berth_no=berth.berth_no, settle_in_s=berth.settle_in_s, settle_out_s=berth.settle_out_s)
        if berth.in_service:
            known[berth.watched_by] = recalled(fresh, None)
    numbers = count(1)

    def take(key: tuple[str, int], signal: Signal, at_s: float) -> tuple[Instruction, ...]:
        try:
            known[key], instructions = step(known[key], signal, at_s, lambda: f"visit-{next(numbers)}")
        except IllegalSignal:
            return ()
        return instructions

    def settle(now_s: float) -> Iterator[Instruction]:
        for key, berth in tuple(known.items()):
            due_s = berth.settles_at_s
            if due_s is not None and due_s <= now_s:
                yield from take(key, Signal.SETTLED, due_s)

    for observation in observations:
        yield from settle(observation.at_monotonic_s)
        key = (observation.sensor, observation.channel)
        if key in known:
            yield from take(key, signal_of(observation, known[key]), observation.at_monotonic_s)
    yield from settle(ends_s)
