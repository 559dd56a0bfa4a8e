"""`edged`: the daemon and the technician's tools."""

import typer

from edged.cli.enrol import enrol
from edged.cli.outbox import outbox_app
from edged.cli.visits import visits

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(visits)
app.add_typer(outbox_app, name="outbox")
app.command()(enrol)


def main() -> None:
    """Entry point of the console script."""
    app()
