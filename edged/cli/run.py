"""`edged run` and `edged check-config`."""

from pathlib import Path
from typing import Annotated

import typer

EX_CONFIG = 78  # sysexits.h; the unit does not restart on it

Config = Annotated[
    Path, typer.Option("--config", "-c", help="Settings file.", envvar="EDGED_CONFIG", show_default=True)
]
DEFAULT_CONFIG = Path("/etc/edged/edged.toml")


def run(
    config: Config = DEFAULT_CONFIG,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log details.")] = False,
) -> None:
    """Run the daemon, until SIGTERM."""
    from edged import app, logs

    settings = checked(config)
    logs.configure(verbose=verbose)
    raise typer.Exit(app.run(settings))


def check_config(config: Config = DEFAULT_CONFIG) -> None:
    """Check a settings file and the sensor profiles it names; say all that is wrong at once."""
    settings = checked(config)
    berths = ", ".join(berth.berth_no for berth in settings.berth)
    typer.echo(f"{config}: good. {settings.site.device_id} watches berths {berths}.")


def checked(config: Path):  # type: ignore[no-untyped-def]  # Settings, imported late: start-up stays quick
    """Return the settings of `config`; complaints go to standard error and end the program."""
    from edged.sensor_buses import complaints
    from edged.settings import SettingsError, load_settings

    try:
        settings = load_settings(config)
        if found := tuple(complaints(settings)):
            raise SettingsError(config, found)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EX_CONFIG) from None
    return settings
