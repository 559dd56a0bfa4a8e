"""`edged`: the daemon and the technician's tools."""

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Entry point of the console script."""
    app()
