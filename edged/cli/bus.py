"""`edged bus`: the technician's view of the RS-485 buses.

While the daemon runs it owns the ports: the commands then go through its control socket, and its bus threads
send the frames between two polls. When it does not run, the commands open the ports themselves.
"""

import json
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edged.cli.opening import DEFAULT_CONFIG, ConfigFile, checked_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.cli.bus_desk import Desk
    from firmware_bridge import SensorSettings

bus_app = typer.Typer(help="Sensors on the RS-485 buses.", no_args_is_help=True)

_REFRESH_S = 0.5
_LOCAL_WARM_UP_S = 1.5
BusName = Annotated[str | None, typer.Option("--bus", help="Which bus; needed when there are several.")]


@bus_app.command("list")
def list_sensors(
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a bus.")] = False,
) -> None:
    """List buses and sensors, and how each one is doing."""
    from rich.console import Console

    from edged.cli.bus_desk import bridge_errors, open_desk
    from edged.cli.bus_view import bus_table

    settings = checked_settings(config)
    with bridge_errors(), open_desk(settings) as desk:
        _warm_up(desk)
        snapshots = desk.call("buses")
    if as_json:
        for snapshot in snapshots:
            typer.echo(json.dumps(snapshot, ensure_ascii=False))
        return
    for snapshot in snapshots:
        Console().print(bus_table(snapshot))


@bus_app.command()
def watch(
    config: ConfigFile = DEFAULT_CONFIG,
    seconds: Annotated[float | None, typer.Option(help="End after so long; otherwise with Ctrl-C.")] = None,
) -> None:
    """Show all sensors live: value, quality, age, reply times, errors by cause."""
    from rich.console import Group
    from rich.live import Live

    from edged.cli.bus_desk import bridge_errors, open_desk
    from edged.cli.bus_view import bus_table

    settings = checked_settings(config)
    end_s = time.monotonic() + seconds if seconds else float("inf")
    with bridge_errors(), open_desk(settings) as desk, Live(refresh_per_second=4) as live:
        try:
            while time.monotonic() < end_s:
                live.update(Group(*(bus_table(snapshot) for snapshot in desk.call("buses"))))
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
    bus, known = _sensor(settings, sensor)
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
    name = _bus_name(settings, bus)
    lost = 0
    with bridge_errors(), open_desk(settings) as desk, out.open("w", encoding="utf-8") as file:
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
        except KeyboardInterrupt:
            pass
    typer.echo(f"{out}: written" + (f"; {lost} events were lost" if lost else ""), err=True)


@bus_app.command()
def scan(
    config: ConfigFile = DEFAULT_CONFIG,
    bus: BusName = None,
    port: Annotated[str | None, typer.Option(help="Scan this port instead of a bus of the settings.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All ids, rates and parities: takes long.")
    ] = False,
    ids: Annotated[str | None, typer.Option(help="Unit ids, such as 1-16,80.")] = None,
    baud: Annotated[int | None, typer.Option(help="Only this rate.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a device.")] = False,
) -> None:
    """Look for devices, the likely settings first, and name the profile that fits."""
    from rich.console import Console
    from rich.progress import Progress

    from edged.cli.bus_desk import bridge_errors
    from firmware_bridge.scan import likely_ids
    from firmware_bridge.scan import scan as scan_link

    profiles, links = _scan_plan(config, bus, port, everything, baud)
    device_ids = _parse_ids(ids) if ids else likely_ids(profiles.values(), everything=everything)
    console, count = Console(), 0
    with bridge_errors(), Progress(console=Console(stderr=True), transient=True) as progress:
        for link, asking in links:
            task = progress.add_task(str(link), total=len(device_ids))
            with asking as ask:
                tried = partial(progress.advance, task)
                for found in scan_link(ask, link, profiles, device_ids, tried):
                    count += 1
                    fits = ", ".join(found.identified) or ", ".join(f"{name}?" for name in found.fitting)
                    if as_json:
                        row = {"device_id": found.device_id, "link": str(link)}
                        row |= {"identified": found.identified, "fitting": found.fitting}
                        typer.echo(json.dumps(row))
                    else:
                        console.print(f"unit {found.device_id} at {link}: {fits or 'no profile fits'}")
    if not count:
        typer.echo("nothing answered: check power, A/B wires and termination; try --all", err=True)
        raise typer.Exit(1)


@bus_app.command("set-id")
def set_id(
    sensor: Annotated[str, typer.Argument(help="The sensor's name in the settings.")],
    new_id: Annotated[int, typer.Argument(min=1, max=255, help="Its new unit id.")],
    config: ConfigFile = DEFAULT_CONFIG,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Give a sensor another unit id. Refused when the id is taken or answers already."""
    from edged.cli.bus_desk import ask_through, bridge_errors, open_desk
    from firmware_bridge.identity import change_id

    settings = checked_settings(config)
    bus, known = _sensor(settings, sensor)
    taken = next((s for s in settings.sensor if s.bus == bus and s.device_id == new_id), None)
    if taken is not None:
        typer.echo(f"id {new_id} belongs to sensor {taken.name} on bus {bus}: choose another", err=True)
        raise typer.Exit(1)
    if not yes:
        typer.confirm(f"Change {sensor} on bus {bus} from unit {known.device_id} to {new_id}?", abort=True)
    with bridge_errors(), open_desk(settings) as desk:
        told = change_id(lambda request, timeout_s: ask_through(desk, bus, request, timeout_s), known, new_id)
    typer.echo(told)
    typer.echo(f"Now write device_id = {new_id} for {sensor} in {config} and restart edged.")


def _scan_plan(config: Path, bus: str | None, port: str | None, everything: bool, baud: int | None) -> Any:
    """Profiles, and for each link setting to try a context that gives the way to ask."""
    from edged.cli.bus_desk import ask_through, open_desk
    from edged.data_files import folders
    from edged.sensor_buses import bus_of, sensor_profiles
    from firmware_bridge import load_profiles
    from firmware_bridge.scan import LinkSettings, bare_bus, likely_links

    if port is not None:
        profiles = load_profiles(folders("sensors"))
    else:
        settings = checked_settings(config)
        profiles = sensor_profiles(settings)
        name = _bus_name(settings, bus)
        ours = bus_of(next(item for item in settings.bus if item.name == name))
        port = ours.port
        own_link = LinkSettings(baudrate=ours.baudrate, parity=ours.parity, stop_bits=ours.stop_bits)
        from contextlib import contextmanager

        @contextmanager
        def through_daemon() -> "Iterator[Any]":
            with open_desk(settings) as desk:
                yield lambda request, timeout_s: ask_through(desk, name, request, timeout_s)

        if _daemon_runs(settings):
            typer.echo(f"edged runs and owns {port}: scanning at its settings only ({own_link})", err=True)
            return profiles, [(own_link, through_daemon())]
    links = likely_links(profiles.values(), everything=everything)
    links = [link for link in links if baud in (None, link.baudrate)]
    if baud is not None and not links:
        links = [LinkSettings(baudrate=baud, parity="N", stop_bits=1)]
    return profiles, [(link, bare_bus(port, link)) for link in links]


def _daemon_runs(settings: Any) -> bool:
    from edged.control import NotRunning, ask

    try:
        ask(settings.store.directory, "buses")
    except NotRunning:
        return False
    return True


def _parse_ids(text: str) -> list[int]:
    found: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    except ValueError:
        raise typer.BadParameter(f"got {text!r}: write ids such as 1-16,80") from None
    if not found or not all(1 <= device_id <= 255 for device_id in found):
        raise typer.BadParameter(f"got {text!r}: ids are 1 to 255")
    return found


def _bus_name(settings: Any, wanted: str | None) -> str:
    names = [bus.name for bus in settings.bus]
    if wanted is None and len(names) == 1:
        return str(names[0])
    if wanted not in names:
        raise typer.BadParameter(f"got {wanted!r}: name one of {', '.join(names)} with --bus")
    return str(wanted)


def _sensor(settings: Any, name: str) -> "tuple[str, SensorSettings]":
    from edged.sensor_buses import sensor_profiles, sensors_of

    profiles = sensor_profiles(settings)
    for bus in settings.bus:
        for sensor in sensors_of(settings, bus.name, profiles):
            if sensor.name == name:
                return bus.name, sensor
    known = ", ".join(sensor.name for sensor in settings.sensor)
    raise typer.BadParameter(f"got {name!r}: there are {known}")


def _registers(desk: "Desk", bus: str, sensor: "SensorSettings") -> "Iterator[dict[str, Any]]":
    from edged.cli.bus_desk import ask_through
    from firmware_bridge.blocks import raw_value, signals_of
    from firmware_bridge.frames import Request
    from firmware_bridge.transaction import Cause

    profile = sensor.profile
    for channel in sensor.used_channels:
        for register in profile.registers.values():
            request = Request(
                device_id=sensor.device_id,
                function=register.table.read_function,
                address=profile.address(register, channel),
                count=register.size,
            )
            time.sleep(profile.link.min_gap_ms / 1000)
            outcome = ask_through(desk, bus, request, profile.link.response_timeout_ms / 1000)
            row: dict[str, Any] = {"channel": channel, "register": register.name, "unit": register.unit}
            row |= {"raw": None, "value": None, "error": None}
            row["reply_ms"] = None if outcome.reply_s is None else outcome.reply_s * 1000
            if outcome.cause is Cause.OK:
                row["raw"] = raw_value(register, outcome.values)
                row["value"] = signals_of(register, row["raw"])[register.name]
            else:
                code = f" {outcome.exception_code}" if outcome.exception_code else ""
                row["error"] = f"{outcome.cause}{code}"
            yield row


def _warm_up(desk: "Desk") -> None:
    """Buses of our own have only just begun to poll."""
    if not desk.through_daemon:
        time.sleep(_LOCAL_WARM_UP_S)
