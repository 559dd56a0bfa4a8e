"""`edged run` and `edged check-config`."""

from typing import Annotated

import typer

from edged.cli.opening import DEFAULT_CONFIG, ConfigFile, checked_settings, plainly


def run(
    config: ConfigFile = DEFAULT_CONFIG,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log details.")] = False,
) -> None:
    """Run the daemon, until SIGTERM."""
    from edged import app
    from edged.box import logs
    from edged.sensor_buses import spoilt_profiles

    settings = checked_settings(config)
    for trouble in spoilt_profiles(settings):
        typer.echo(f"not used: {trouble}", err=True)
    logs.configure(verbose=verbose)
    raise typer.Exit(app.run(settings))


def check_config(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Check a settings file and all sensor profiles at hand; say all that is wrong at once.

    For every berth it prints what is read: sensor, unit, function, wire address and bit.
    """
    from edged.sensor_buses import berths_read, notes, spoilt_profiles
    from edged.settings import SettingsError

    settings = checked_settings(config)
    with plainly():
        if spoilt := tuple(spoilt_profiles(settings)):
            raise SettingsError(config, spoilt)
    for berth_no, reads in berths_read(settings):
        typer.echo(f"berth {berth_no}: {reads}")
    for note in notes(settings):
        typer.echo(f"note: {note}", err=True)
    berths = ", ".join(berth.berth_no for berth in settings.berth)
    typer.echo(f"{config}: good. {settings.site.device_id} watches berths {berths}.")
