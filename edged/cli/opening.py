"""What the technician's commands begin with: the settings, and errors said once, plainly."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edged.domain.masking import mask_in

if TYPE_CHECKING:  # imported late at run time: `edged --help` is quick on a slow box
    from edged.settings import Settings

EX_CONFIG = 78  # sysexits.h; the unit does not restart on it
DEFAULT_CONFIG = Path("/etc/edged/edged.toml")
ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="Settings file.", envvar="EDGED_CONFIG", show_default=True)
]


@contextmanager
def plainly() -> Iterator[None]:
    """End the command with the error's own words instead of a traceback."""
    from edged.settings import SettingsError
    from edged.store import StoreError
    from edged.uplink import UplinkError

    try:
        yield
    except SettingsError as error:
        typer.echo(mask_in(str(error)), err=True)
        raise typer.Exit(EX_CONFIG) from None
    except (StoreError, UplinkError) as error:
        typer.echo(mask_in(str(error)), err=True)
        raise typer.Exit(1) from None


def opened_settings(path: Path) -> "Settings":
    """Return the settings; ends the command when they cannot be used."""
    from edged.settings import load_settings

    with plainly():
        return load_settings(path)


def checked_settings(path: Path) -> "Settings":
    """Return the settings, checked against the sensor profiles too; ends the command with all troubles."""
    from edged.sensor_buses import troubles_of
    from edged.settings import SettingsError, load_settings

    with plainly():
        settings = load_settings(path)
        if found := tuple(troubles_of(settings)):
            raise SettingsError(path, found)
    return settings
