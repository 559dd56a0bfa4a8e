"""What the technician's commands begin with: the config file, and errors said once, plainly."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edged.settings import Settings, SettingsError, load_settings
from edged.store import StoreError
from edged.uplink import UplinkError

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="The daemon's settings.", show_default=True, dir_okay=False)
]
DEFAULT_CONFIG = Path("/etc/edged/edged.toml")

errors = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)


@contextmanager
def plainly() -> Iterator[None]:
    """End the command with the error's own words: 2 for settings, 1 for anything else expected."""
    try:
        yield
    except SettingsError as error:
        errors.print(str(error))
        raise typer.Exit(2) from error
    except (StoreError, UplinkError) as error:
        errors.print(str(error))
        raise typer.Exit(1) from error


def opened_settings(path: Path) -> Settings:
    """Return the settings; ends the command when they cannot be used."""
    with plainly():
        return load_settings(path)
