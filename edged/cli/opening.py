"""What the technician's commands begin with: the settings, and errors said once, plainly."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edged.cli.run import DEFAULT_CONFIG, EX_CONFIG
from edged.cli.run import Config as ConfigFile

__all__ = ["DEFAULT_CONFIG", "ConfigFile", "opened_settings", "plainly"]

if TYPE_CHECKING:  # imported late at run time: `edged --help` is quick on a slow box
    from edged.settings import Settings


@contextmanager
def plainly() -> Iterator[None]:
    """End the command with the error's own words instead of a traceback."""
    from edged.settings import SettingsError
    from edged.store import StoreError
    from edged.uplink import UplinkError

    try:
        yield
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EX_CONFIG) from None
    except (StoreError, UplinkError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def opened_settings(path: Path) -> "Settings":
    """Return the settings; ends the command when they cannot be used."""
    from edged.settings import load_settings

    with plainly():
        return load_settings(path)
