"""`edged-cloud`: run and feed the cloud endpoint.

The whole way, on the embedded SQLite default (every command takes `--config FILE`, and every value of
the file can come from the environment, e.g. EDGED_CLOUD_DATABASE_URL, EDGED_CLOUD_SERVER_PORT):

```sh
export EDGED_CLOUD_DATABASE_URL=sqlite:////tmp/cloud.db EDGED_CLOUD_SERVER_PORT=8080
edged-cloud load berths.toml              # sites and berths; see `cloud_endpoint.street.registry`
edged-cloud enrol --device-id pole-1 --site demo     # prints the one-time code, alone on stdout
edged-cloud terminal add --site demo --name app      # prints the bearer token, alone on stdout
edged-cloud operator add --site demo --name desk     # prints the operator's bearer token
edged-cloud serve                                    # runs until SIGTERM; /readyz answers 200 when ready
edged-cloud snapshot --site demo --berth-no 1001     # pulls and verifies a snapshot, prints its JSON
```

An order, as a terminal speaks it (T = its token, H = http://127.0.0.1:8080):

```sh
curl -sX POST $H/v1/orders -H "Authorization: Bearer $T" -H 'Content-Type: application/json' \
     -d '{"place": {"pole_code": "P1-7Q4K"}, "account_id": "driver-1", "client_id": "phone-1"}'
  # 201 {"order_id": "ord_...", "state": "draft", "instruction": null, "expires_at": ...}
curl -sX POST $H/v1/orders/$ORDER/candidates -H "Authorization: Bearer $T"
  # 200 {"order_id", "state": "offered", "instruction": "candidate_berths",
  #      "candidates": [{"berth_no": "1001", "token": "..."}, ...], "expires_at"}
curl -sX POST $H/v1/orders/$ORDER/submit -H "Authorization: Bearer $T" -H 'Content-Type: application/json' \
     -d '{"berth_token": "...", "plate": "京A12345", "minutes": 60}'
  # 200 {"order_id", "state": "confirmed", "instruction": "order_confirmation", "hold_until", ...}
  #  or {"state": "pending", "instruction": "pending", "retry_after_s": 1.0}
curl -s "$H/v1/orders/$ORDER?wait=20" -H "Authorization: Bearer $T"
  # 200 as soon as it is no longer pending: order_confirmation, plate_modification ("attempts_left"), review
curl -sX POST $H/v1/orders/$ORDER/cancel -H "Authorization: Bearer $T"
```

A mismatch is always answered `pending` first: the pole is asked for a new picture, and
`plate_modification` follows on the GET. Then the same order is submitted again, corrected.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cloud_endpoint.base.clock import system_clock
from cloud_endpoint.base.errors import CloudError, Problem
from cloud_endpoint.base.settings import load_settings
from cloud_endpoint.cli.berths import berth
from cloud_endpoint.cli.credentials import operator, terminal
from cloud_endpoint.cli.options import BerthNumber, Config, Site, explained, opened
from cloud_endpoint.cli.records import audit, data
from cloud_endpoint.database import schema
from cloud_endpoint.database.engine import open_engine, writing
from cloud_endpoint.database.service import Service
from cloud_endpoint.poles import enrolment
from cloud_endpoint.street import registry
from cloud_endpoint.web.app import serve as run_server
from cloud_endpoint.web.calls.operators import pull_snapshot
from edged.domain.masking import mask_in

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="The parking cloud endpoint.")
app.add_typer(terminal, name="terminal")
app.add_typer(operator, name="operator")
app.add_typer(berth, name="berth")
app.add_typer(data, name="retention")
app.add_typer(audit, name="audit")


def main() -> None:
    """Entry point: errors of this package become one line on stderr and exit status 1."""
    try:
        app()
    except (CloudError, Problem) as exc:
        print(f"error: {mask_in(str(exc))}", file=sys.stderr)
        sys.exit(1)


@app.command()
def serve(config: Config = None) -> None:
    """Run the service until SIGTERM."""
    settings, engine = opened(config)
    engine.dispose()
    run_server(settings, config)


@app.command()
def migrate(config: Config = None) -> None:
    """Bring the database's schema to this version."""
    settings = load_settings(config)
    engine = open_engine(settings.database.url, settings.database.pool_size)
    with explained(engine):
        before, after = schema.migrate(engine)
    print(f"schema was {before or 'empty'}, is {after}")


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help=".toml or .json registry")], config: Config = None
) -> None:
    """Load sites and berths; loading again changes what differs and removes nothing."""
    _, engine = opened(config)
    contents = registry.read_registry(file)
    with writing(engine) as connection:
        named, berths = registry.load_registry(connection, contents, system_clock())
    print(f"loaded {named} sites, {berths} berths from {file}")


@app.command()
def enrol(
    device_id: Annotated[str, typer.Option("--device-id", help="name of the pole, for ever")],
    site: Site,
    config: Config = None,
) -> None:
    """Print a one-time code; typed at the pole, it enrols the box, or replaces the one before."""
    settings, engine = opened(config)
    with writing(engine) as connection:
        code = enrolment.issue_code(
            connection,
            site,
            device_id,
            now_ms=system_clock(),
            lifetime_ms=round(settings.poles.enrolment_code_lifetime_s * 1000),
        )
    print(code)


@app.command()
def snapshot(site: Site, berth_no: BerthNumber, config: Config = None) -> None:
    """Pull a berth's latest snapshot from its pole, verify it, and print it as JSON (plate included)."""
    settings, engine = opened(config)
    taken = pull_snapshot(Service(engine=engine, settings=settings), site, berth_no)
    print(taken.model_dump_json(indent=2))
