"""`edged view`: what the cameras show, confirmed by a person."""

from typing import Annotated

import typer

from edged.cli.opening import DEFAULT_CONFIG, ConfigFile, opened_settings

view_app = typer.Typer(help="What the cameras show.", no_args_is_help=True)


@view_app.callback()
def views() -> None:
    """Keep `confirm` a command of its own."""


@view_app.command("confirm")
def confirm(
    camera: Annotated[str, typer.Argument(help="The camera's name, as in the settings.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Tell the running daemon that a camera that was turned shows the right place now."""
    from edged.control import ControlError, ask

    directory = opened_settings(config).store.directory
    try:
        ask(directory, "confirm_view", camera=camera)
    except ControlError as error:
        typer.echo(f"edged: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"the next picture of camera {camera} is its reference")
