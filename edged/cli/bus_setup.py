"""`edged bus scan` and `edged bus set-id`: finding devices and giving them their ids."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from edged.cli.bus_desk import BusName, bus_name, daemon_runs, sensor_named
from edged.cli.opening import DEFAULT_CONFIG, ConfigFile, checked_settings


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
    from firmware_bridge.scan import NAMED_PROBE_TIMEOUT_S, PROBE_TIMEOUT_S, likely_ids
    from firmware_bridge.scan import scan as scan_link

    profiles, links = _scan_plan(config, bus, port, everything, baud)
    device_ids = _parse_ids(ids) if ids else likely_ids(profiles.values(), everything=everything)
    timeout_s = NAMED_PROBE_TIMEOUT_S if ids else PROBE_TIMEOUT_S
    console, count = Console(), 0
    with bridge_errors(), Progress(console=Console(stderr=True), transient=True) as progress:
        for link, asking in links:
            task = progress.add_task(str(link), total=len(device_ids))
            with asking as ask:
                tried = partial(progress.advance, task)
                for found in scan_link(ask, link, profiles, device_ids, tried, probe_timeout_s=timeout_s):
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
    bus, known = sensor_named(settings, sensor)
    taken = next((s for s in settings.sensor if s.bus == bus and s.device_id == new_id), None)
    if taken is not None:
        typer.echo(f"id {new_id} belongs to sensor {taken.name} on bus {bus}: choose another", err=True)
        raise typer.Exit(1)
    if not yes:
        typer.confirm(f"Change {sensor} on bus {bus} from unit {known.device_id} to {new_id}?", abort=True)
    with bridge_errors(), open_desk(settings) as desk:
        result = change_id(
            lambda request, timeout_s: ask_through(desk, bus, request, timeout_s), known, new_id
        )
    typer.echo(result)
    typer.echo(f"Now write device_id = {new_id} for {sensor} in {config} and restart edged.")


def _scan_plan(config: Path, bus: str | None, port: str | None, everything: bool, baud: int | None) -> Any:
    """Profiles, and for each link setting to try a context that gives the way to ask."""
    from edged.box.data_files import folders
    from edged.cli.bus_desk import ask_through, open_desk
    from edged.sensor_buses import sensor_profiles
    from firmware_bridge import find_profiles
    from firmware_bridge.scan import LinkSettings, bare_bus, likely_links

    if port is not None:
        profiles = find_profiles(folders("sensors")).profiles
    else:
        settings = checked_settings(config)
        profiles = sensor_profiles(settings)
        name = bus_name(settings, bus)
        ours = next(item for item in settings.bus if item.name == name)
        port = ours.port
        own_link = LinkSettings(baudrate=ours.baudrate, parity=ours.parity.letter, stop_bits=ours.stop_bits)

        @contextmanager
        def through_daemon() -> Iterator[Any]:
            with open_desk(settings) as desk:
                yield lambda request, timeout_s: ask_through(desk, name, request, timeout_s)

        if daemon_runs(settings):
            at = f" at its settings only ({own_link})" if ours.is_serial else " through it"
            typer.echo(f"edged runs and owns {port}: scanning{at}", err=True)
            if everything or baud not in (None, ours.baudrate):
                typer.echo(
                    "other rates and parities cannot be scanned while it runs: systemctl stop edged first",
                    err=True,
                )
            return profiles, [(own_link, through_daemon())]
        if not ours.is_serial:
            return profiles, [(own_link, bare_bus(port, own_link))]
    if not port.startswith("/"):  # a gateway's serial side has a rate of its own
        link = LinkSettings(baudrate=baud or 9600, parity="N", stop_bits=1)
        return profiles, [(link, bare_bus(port, link))]
    links = likely_links(profiles.values(), everything=everything)
    links = [link for link in links if baud in (None, link.baudrate)]
    if baud is not None and not links:
        links = [LinkSettings(baudrate=baud, parity="N", stop_bits=1)]
    return profiles, [(link, bare_bus(port, link)) for link in links]


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
