"""`edged bus`: the technician's view of the RS-485 buses.

While the daemon runs it owns the ports: the commands then go through its control socket, and its bus threads
send the frames between two polls. When it does not run, the commands open the ports themselves.
"""

import json
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from edged.cli.bus_desk import BusName, bus_name, sensor_named
from edged.cli.bus_setup import scan, set_id
from edged.cli.opening import DEFAULT_CONFIG, ConfigFile, checked_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edged.cli.bus_desk import Desk
    from firmware_bridge import SensorSettings

bus_app = typer.Typer(help="Sensors on the RS-485 buses.", no_args_is_help=True)

_REFRESH_S = 0.5
_LOCAL_WARM_UP_S = 8.0  # silence is a fault after five
_LOOK_EVERY_S = 0.1


@bus_app.command("list")
def list_sensors(
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a bus.")] = False,
) -> None:
    """List buses and sensors, and how each one is doing."""
    from rich.console import Console

    from edged.cli.bus_desk import berths_of, bridge_errors, open_desk
    from edged.cli.bus_view import bus_table

    settings = checked_settings(config)
    with bridge_errors(), open_desk(settings) as desk:
        _warm_up(desk)
        snapshots = desk.call("buses")
    if as_json:
        for snapshot in snapshots:
            typer.echo(json.dumps(snapshot, ensure_ascii=False))
    else:
        for snapshot in snapshots:
            Console().print(bus_table(snapshot, berths_of(settings)))
    if any(snapshot["port_error"] for snapshot in snapshots):
        raise typer.Exit(1)


@bus_app.command()
def watch(
    config: ConfigFile = DEFAULT_CONFIG,
    seconds: Annotated[float | None, typer.Option(help="End after so long; otherwise with Ctrl-C.")] = None,
) -> None:
    """Show all sensors live: value, quality, age, reply times, errors by cause."""
    from rich.console import Group
    from rich.live import Live

    from edged.cli.bus_desk import berths_of, bridge_errors, open_desk
    from edged.cli.bus_view import bus_table

    settings = checked_settings(config)
    berths = berths_of(settings)
    end_s = time.monotonic() + seconds if seconds else float("inf")
    with bridge_errors(), open_desk(settings) as desk, Live(refresh_per_second=4) as live:
        try:
            while time.monotonic() < end_s:
                live.update(Group(*(bus_table(bus, berths) for bus in desk.call("buses"))))
                time.sleep(_REFRESH_S)
        except KeyboardInterrupt:
            return


@bus_app.command()
def read(
    sensor: Annotated[str, typer.Argument(help="The sensor's name in the settings.")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Read every register of one sensor once."""
    from rich.console import Console
    from rich.table import Table

    from edged.cli.bus_desk import bridge_errors, open_desk

    settings = checked_settings(config)
    bus, known = sensor_named(settings, sensor)
    with bridge_errors(), open_desk(settings) as desk:
        rows = list(_registers(desk, bus, known))
    if as_json:
        typer.echo(json.dumps({"sensor": sensor, "device_id": known.device_id, "registers": rows}))
    else:
        table = Table(title=f"{sensor} (unit {known.device_id}, {known.profile.title})")
        for heading in ("channel", "register", "raw", "value", "reply"):
            table.add_column(heading)
        for row in rows:
            value = (
                row["error"]
                or f"{'invalid' if row['value'] is None else format(row['value'], 'g')} {row['unit']}"
            )
            reply = "" if row["reply_ms"] is None else f"{row['reply_ms']:.1f} ms"
            table.add_row(str(row["channel"]), row["register"], str(row["raw"] or ""), value, reply)
        Console().print(table)
    if all(row["error"] for row in rows):
        raise typer.Exit(1)


@bus_app.command()
def trace(
    out: Annotated[Path, typer.Option("--out", help="Trace file to write; `edged replay` reads it.")],
    config: ConfigFile = DEFAULT_CONFIG,
    bus: BusName = None,
    seconds: Annotated[float, typer.Option(min=0.5, help="How long to record.")] = 60.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not print the frames.")] = False,
) -> None:
    """Record every frame with direction, meaning and time."""
    from edged.cli.bus_desk import bridge_errors, open_desk
    from edged.cli.bus_view import in_words

    settings = checked_settings(config)
    name = bus_name(settings, bus)
    count = lost = 0
    with bridge_errors(), open_desk(settings) as desk, _opened(out) as file:
        answer = desk.call("bus_trace", bus=name, since=0)
        newest = answer["newest"]  # what an earlier recording left is not ours
        file.write(json.dumps(answer["header"]) + "\n")
        end_s = time.monotonic() + seconds
        try:
            while time.monotonic() < end_s:
                time.sleep(min(_REFRESH_S, max(0.0, end_s - time.monotonic())))
                answer = desk.call("bus_trace", bus=name, since=newest)
                newest, lost = answer["newest"], lost + answer["lost"]
                for event in answer["events"]:
                    file.write(json.dumps(event) + "\n")
                    if not quiet:
                        typer.echo(in_words(event))
                file.flush()
                count += len(answer["events"])
        except KeyboardInterrupt:
            pass
        if not count:
            _say_why_nothing_came(desk, name)
    typer.echo(f"{out}: {count} events written" + (f"; {lost} were lost" if lost else ""), err=True)


bus_app.command()(scan)
bus_app.command("set-id")(set_id)


@contextmanager
def _opened(out: Path) -> "Iterator[IO[str]]":
    try:
        file = out.open("w", encoding="utf-8")
    except OSError as error:
        typer.echo(f"{out} cannot be written ({error.strerror}): name another file with --out", err=True)
        raise typer.Exit(1) from None
    with file:
        yield file


def _say_why_nothing_came(desk: "Desk", name: str) -> None:
    found = next(bus for bus in desk.call("buses") if bus["bus"] == name)
    if found["port_error"]:
        typer.echo(f"{found['port_error']}: {found['port_remedy']}", err=True)
    else:
        typer.echo(f"bus {name} sent nothing: no sensor of the settings is on it", err=True)
    raise typer.Exit(1)


def _registers(desk: "Desk", bus: str, sensor: "SensorSettings") -> "Iterator[dict[str, Any]]":
    from edged.cli.bus_desk import ask_through
    from firmware_bridge.blocks import parts_of
    from firmware_bridge.frames import Request
    from firmware_bridge.registers import ValueType
    from firmware_bridge.transaction import Cause

    link = sensor.link
    for part in sorted(parts_of(sensor), key=lambda part: sensor.used_channels.index(part.channel)):
        register = part.register
        request = Request(
            device_id=sensor.device_id,
            function=register.table.read_function,
            address=part.address,
            count=register.size,
        )
        time.sleep(link.min_gap_ms / 1000)
        outcome = ask_through(desk, bus, request, sensor.response_timeout_s)
        row: dict[str, Any] = {"channel": part.channel, "register": part.name, "unit": register.unit}
        row |= {"raw": None, "value": None, "error": None}
        row["reply_ms"] = None if outcome.reply_s is None else outcome.reply_s * 1000
        if outcome.cause is Cause.OK:
            raw = register.raw(outcome.values, part.bit)
            row["raw"] = raw if register.type is ValueType.FLOAT32 else register.number_of(raw)
            row["value"] = register.signal(raw).value
        else:
            code = f" {outcome.exception_code}" if outcome.exception_code else ""
            row["error"] = f"{outcome.cause}{code}"
        yield row


def _warm_up(desk: "Desk") -> None:
    """Buses of our own have only just begun to poll: wait for every sensor's first word, or for none."""
    end_s = time.monotonic() + _LOCAL_WARM_UP_S
    while not desk.through_daemon and time.monotonic() < end_s:
        if all(bus["port_error"] or _is_known(bus) for bus in desk.call("buses")):
            return
        time.sleep(_LOOK_EVERY_S)


def _is_known(bus: "Mapping[str, Any]") -> bool:
    return all(
        sensor["quality"] == "quarantined" or all(channel["state"] for channel in sensor["channels"])
        for sensor in bus["sensors"]
    )
