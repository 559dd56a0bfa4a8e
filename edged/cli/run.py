"""`edged run` and `edged check-config`."""

from typing import Annotated

import typer

from edged.cli.opening import DEFAULT_CONFIG, ConfigFile, checked_settings


def run(
    config: ConfigFile = DEFAULT_CONFIG,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log details.")] = False,
) -> None:
    """Run the daemon, until SIGTERM."""
    from edged import app, logs

    settings = checked_settings(config)
    logs.configure(verbose=verbose)
    raise typer.Exit(app.run(settings))


def check_config(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Check a settings file and the sensor profiles it names; say all that is wrong at once."""
    settings = checked_settings(config)
    berths = ", ".join(berth.berth_no for berth in settings.berth)
    typer.echo(f"{config}: good. {settings.site.device_id} watches berths {berths}.")
