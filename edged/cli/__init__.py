"""`edged`: the daemon and the technician's tools.

Each command lives in a module of its own and imports what it needs when it runs: `edged --help` is quick on
a slow box.
"""

import sys

import typer

from edged.cli.bus import bus_app
from edged.cli.diag import diag
from edged.cli.enrol import enrol
from edged.cli.outbox import outbox_app
from edged.cli.read import read
from edged.cli.replay import replay
from edged.cli.run import check_config, run
from edged.cli.simulate import simulate
from edged.cli.view import view_app
from edged.cli.visits import visits

app = typer.Typer(
    name="edged",
    help="Roadside parking: sensors, camera, plates, cloud.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run)
app.command("check-config")(check_config)
app.command("diag")(diag)
app.command("enrol")(enrol)
app.command("read")(read)
app.command("replay")(replay)
app.command("simulate")(simulate)
app.command("visits")(visits)
app.add_typer(bus_app, name="bus")
app.add_typer(outbox_app, name="outbox")
app.add_typer(view_app, name="view")


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except OSError as error:
        # Commands answer for the files they name; an error without a name is of their own output.
        if error.filename is not None:
            raise
        sys.exit(f"edged: what was found cannot be written: {error.strerror}")
