"""`edged simulate`: a pole without hardware - simulated sensors, a simulated camera, and the settings.

For a technician who wants to try the box at a desk, and for developers: start it in one terminal, run
`edged run --config ...` as it says in another, then let cars drive in and out by typing.
"""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

_HELP = "in BERTH [PLATE|PICTURE]   out BERTH   camera 401|404|500|html|cut_off|silent|frozen|ok   quit"


def simulate(
    out: Annotated[Path, typer.Option(help="Where the settings and logs go.")] = Path("simulated-pole"),
    cloud_url: Annotated[str, typer.Option(help="The cloud that the box shall enrol with.")] = (
        "http://127.0.0.1:8080"
    ),
    photos: Annotated[
        bool, typer.Option("--photos", help="A camera per berth, to show photographs.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Another street, other cars.")] = 1,
) -> None:
    """Simulate a bus with four sensors and an HTTP camera, until end of input."""
    from edged.demo.bench_pole import BenchPole
    from edged.demo.interrupts import end_on_signals
    from edged.demo.processes import DemoFailure, Processes

    end_on_signals()
    with tempfile.TemporaryDirectory(prefix="edged-simulated-") as run, Processes(out / "logs") as processes:
        try:
            pole = BenchPole.start(
                processes, out.resolve(), Path(run), cloud_url=cloud_url, seed=seed, one_camera_each=photos
            )
            typer.echo(f"four berths: {', '.join(pole.berths)}; settings in {pole.config}")
            typer.echo(f"now, in another terminal:  edged run --config {pole.config}")
            typer.echo(_HELP)
            for line in sys.stdin:
                processes.check_alive()
                if line.split() in (["quit"], ["exit"]):
                    break
                typer.echo(pole.obey(line.split()) or _HELP)
        except DemoFailure as failure:
            typer.echo(f"{failure}\n{processes.tail(failure.process or '')}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("")
