"""`edged-cloud berth`: a berth that changes and stays the same."""

from typing import Annotated

import typer

from cloud_endpoint.base.clock import system_clock
from cloud_endpoint.cli.options import BerthNumber, Config, Site, opened
from cloud_endpoint.database.engine import writing
from cloud_endpoint.street import berth_changes

berth = typer.Typer(no_args_is_help=True, help="Berths that change their number, pole or service.")


@berth.command("renumber")
def berth_renumber(
    site: Site,
    berth_no: BerthNumber,
    new_no: Annotated[str, typer.Option("--new-no", help="its number from now on")],
    config: Config = None,
) -> None:
    """Give a berth another number; its history stays its own."""
    _, engine = opened(config)
    with writing(engine) as connection:
        berth_changes.renumber(connection, site, berth_no, new_no, system_clock())


@berth.command("move")
def berth_move(
    site: Site,
    berth_no: BerthNumber,
    device_id: Annotated[str, typer.Option("--device-id", help="the pole that watches it from now on")],
    config: Config = None,
) -> None:
    """Have another pole watch a berth; its history stays its own."""
    _, engine = opened(config)
    with writing(engine) as connection:
        berth_changes.move(connection, site, berth_no, device_id, system_clock())


@berth.command("service")
def berth_service(
    site: Site,
    berth_no: BerthNumber,
    in_service: Annotated[bool, typer.Option("--in/--out", help="back in, or out of service")],
    config: Config = None,
) -> None:
    """Take a berth out of service (it is never offered), or back."""
    _, engine = opened(config)
    with writing(engine) as connection:
        berth_changes.set_service(connection, site, berth_no, in_service=in_service, now_ms=system_clock())
