"""Command line of the benchmarks."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cloud_endpoint.base.errors import CloudError, ConfigError

CityFolder = Annotated[
    Path | None,
    typer.Option(help="folder that keeps the large city; it is built there at the first time", metavar="DIR"),
]

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Figures of the cloud endpoint."""


@app.command()
def cloud(
    big_city: Annotated[bool, typer.Option(help="also 1,000,000 berths with 10,000,000 visits")] = True,
    city: CityFolder = None,
    poles: Annotated[int, typer.Option(help="of the fleet that reconnects at once")] = 10_000,
) -> None:
    """Checks and events per second, latency, growth, and a fleet that reconnects."""
    from cloud_endpoint.bench.cloud import run

    run(big_city=big_city, kept_in=city, poles=poles)


@app.command()
def growth(
    city: CityFolder = None,
    build_only: Annotated[bool, typer.Option(help="build the city, measure another time")] = False,
) -> None:
    """Only the median check at 1,000,000 berths over that at 10,000."""
    from cloud_endpoint.bench.growth import keep, ratio

    console = Console()
    if build_only:
        if city is None:
            raise ConfigError("--build-only: name the folder that shall keep the city, --city DIR")
        keep(console, city)
        return
    print(json.dumps({"bench": "cloud", "million_over_ten_thousand": ratio(console, city)}))


@app.command()
def fleet(poles: Annotated[int, typer.Option(help="that reconnect at once")] = 10_000) -> None:
    """Only the fleet that reconnects at once: lost, twice, refused, and how long until the last is in."""
    from cloud_endpoint.bench.storm import run

    print(json.dumps({"bench": "cloud", **asdict(run(poles))}))


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
