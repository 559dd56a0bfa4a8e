"""Command line of the benchmarks."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cloud_endpoint.errors import CloudError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Figures of the cloud endpoint."""


@app.command()
def cloud(
    big_city: Annotated[bool, typer.Option(help="also 1,000,000 berths with 10,000,000 visits")] = True,
    poles: Annotated[int, typer.Option(help="of the fleet that reconnects at once")] = 10_000,
) -> None:
    """Checks and events per second, latency, growth, and a fleet that reconnects."""
    from cloud_endpoint.bench.cloud import run

    run(big_city=big_city, poles=poles)


@app.command()
def trust(
    visits: Annotated[int, typer.Option(help="through the decision code")] = 1_000_000,
    through_service: Annotated[int, typer.Option(help="through the real service")] = 10_000,
    reader: Annotated[Path | None, typer.Option(help="JSON with the reader's measured rates")] = None,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Wrong confirmations, right drivers told to modify, pending answers, reviews."""
    from cloud_endpoint.bench.trust import run

    run(visits=visits, through_service=through_service, reader=reader, seed=seed)


if __name__ == "__main__":
    try:
        app()
    except CloudError as exc:
        print(f"error: {exc}", file=sys.stderr)
        sys.exit(1)
