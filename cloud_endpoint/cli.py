"""`edged-cloud`: run and feed the cloud endpoint.

The whole way, on the embedded SQLite default (every command takes `--config FILE`, and every value of
the file can come from the environment, e.g. EDGED_CLOUD_DATABASE_URL, EDGED_CLOUD_SERVER_PORT):

```sh
export EDGED_CLOUD_DATABASE_URL=sqlite:////tmp/cloud.db EDGED_CLOUD_SERVER_PORT=8080
edged-cloud load berths.toml              # sites and berths; see `cloud_endpoint.registry` for the file
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

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection, Engine, select

from cloud_endpoint import access, audit, enrolment, forgetting, registry, retention, schema
from cloud_endpoint.api.app import serve as run_server
from cloud_endpoint.calls.operators import pull_snapshot
from cloud_endpoint.clock import from_ms, system_clock
from cloud_endpoint.database import open_engine, reading, writing
from cloud_endpoint.errors import CloudError, ConfigError, DatabaseUnavailable, Problem
from cloud_endpoint.service import Cloud
from cloud_endpoint.settings import CloudSettings, load_settings
from cloud_endpoint.tables import sites
from edged.domain.plate import normalise

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="The parking cloud endpoint.")
terminal = typer.Typer(no_args_is_help=True, help="Credentials of the apps that drivers order with.")
operator = typer.Typer(no_args_is_help=True, help="Credentials of the people who run the street.")
app.add_typer(terminal, name="terminal")
app.add_typer(operator, name="operator")
berth = typer.Typer(no_args_is_help=True, help="Berths that change their number, pole or service.")
audit_log = typer.Typer(no_args_is_help=True, help="The append-only record of what people did.")
app.add_typer(berth, name="berth")
data = typer.Typer(no_args_is_help=True, help="Data that is no longer needed goes.")
app.add_typer(data, name="retention")
app.add_typer(audit_log, name="audit")

Config = Annotated[
    Path | None,
    typer.Option("--config", envvar="EDGED_CLOUD_CONFIG", help="TOML file; see config/cloud.toml"),
]
Site = Annotated[str, typer.Option("--site", help="site_id of the registry")]
BerthNumber = Annotated[str, typer.Option("--berth-no", help="number as painted on the street")]
Name = Annotated[str, typer.Option("--name", help="name of the credential")]


def main() -> None:
    """Entry point: errors of this package become one line on stderr and exit status 1."""
    try:
        app()
    except Problem as exc:
        print(f"error: {exc}; {exc.remedy}", file=sys.stderr)
        sys.exit(1)
    except CloudError as exc:
        print(f"error: {exc}", file=sys.stderr)
        sys.exit(1)


def _open(config: Path | None) -> tuple[CloudSettings, Engine]:
    settings = load_settings(config)
    engine = open_engine(settings.database.url, settings.database.pool_size)
    with _explained(engine):
        schema.prepare(engine)
    return settings, engine


@contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    """Say which database it is that does not answer; without its password."""
    try:
        yield
    except DatabaseUnavailable as exc:
        url = engine.url.render_as_string(hide_password=True)
        raise ConfigError(
            f"database.url {url}: {exc}; check that it runs, that its folder is writable, and the URL"
        ) from exc


@app.command()
def serve(config: Config = None) -> None:
    """Run the service until SIGTERM."""
    settings, engine = _open(config)
    engine.dispose()
    run_server(settings, config)


@app.command()
def migrate(config: Config = None) -> None:
    """Bring the database's schema to this version."""
    settings = load_settings(config)
    engine = open_engine(settings.database.url, settings.database.pool_size)
    with _explained(engine):
        before, after = schema.migrate(engine)
    print(f"schema was {before or 'empty'}, is {after}")


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help=".toml or .json registry")], config: Config = None
) -> None:
    """Load sites and berths; loading again changes what differs and removes nothing."""
    _, engine = _open(config)
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
    settings, engine = _open(config)
    with writing(engine) as connection:
        code = enrolment.issue_code(
            connection,
            site,
            device_id,
            now_ms=system_clock(),
            lifetime_ms=round(settings.poles.enrolment_code_lifetime_s * 1000),
        )
    print(code)


@terminal.command("add")
def terminal_add(
    site: Site,
    name: Name,
    webhook_url: Annotated[str | None, typer.Option(help="where instructions that follow later go")] = None,
    config: Config = None,
) -> None:
    """Print the bearer token of a new terminal; the signing secret goes to stderr. Both are shown once."""
    secret = _add_credential(config, site, access.Role.TERMINAL, name, webhook_url)
    print(f"signing secret of webhooks and payment callbacks: {secret}", file=sys.stderr)


@terminal.command("revoke")
def terminal_revoke(name: Name, config: Config = None) -> None:
    """End a credential of a terminal or an operator."""
    _, engine = _open(config)
    with writing(engine) as connection:
        access.revoke_credential(connection, name, system_clock())


@operator.command("add")
def operator_add(site: Site, name: Name, config: Config = None) -> None:
    """Print the bearer token of a new operator; it is shown once."""
    _add_credential(config, site, access.Role.OPERATOR, name)


operator.command("revoke")(terminal_revoke)


@berth.command("renumber")
def berth_renumber(
    site: Site,
    berth_no: BerthNumber,
    new_no: Annotated[str, typer.Option("--new-no", help="its number from now on")],
    config: Config = None,
) -> None:
    """Give a berth another number; its history stays its own."""
    _, engine = _open(config)
    with writing(engine) as connection:
        registry.renumber(connection, site, berth_no, new_no, system_clock())


@berth.command("move")
def berth_move(
    site: Site,
    berth_no: BerthNumber,
    device_id: Annotated[str, typer.Option("--device-id", help="the pole that watches it from now on")],
    config: Config = None,
) -> None:
    """Have another pole watch a berth; its history stays its own."""
    _, engine = _open(config)
    with writing(engine) as connection:
        registry.move(connection, site, berth_no, device_id, system_clock())


@berth.command("service")
def berth_service(
    site: Site,
    berth_no: BerthNumber,
    in_service: Annotated[bool, typer.Option("--in/--out", help="back in, or out of service")],
    config: Config = None,
) -> None:
    """Take a berth out of service (it is never offered), or back."""
    _, engine = _open(config)
    with writing(engine) as connection:
        registry.set_service(connection, site, berth_no, in_service=in_service, now_ms=system_clock())


@data.command("run")
def retention_run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count what would go")] = False,
    config: Config = None,
) -> None:
    """Delete what is older than its class is kept ([retention] in the config); run it daily."""
    settings, engine = _open(config)
    act = retention.count if dry_run else retention.run
    gone = act(engine, settings.retention, system_clock())
    print("would go: " if dry_run else "gone: ", end="")
    print(", ".join(f"{name} {count}" for name, count in asdict(gone).items()))


@data.command("forget")
def retention_forget(
    site: Site,
    plate: Annotated[str | None, typer.Option(help="everything about this plate")] = None,
    account_id: Annotated[str | None, typer.Option(help="the orders of this account")] = None,
    config: Config = None,
) -> None:
    """Delete a person's data on request; really, from the files too."""
    if plate is None and account_id is None:
        raise ConfigError("give --plate or --account-id")
    _, engine = _open(config)
    known = normalise(plate) if plate is not None else None
    gone = forgetting.forget(engine, site, system_clock(), plate=known, account_id=account_id)
    print(", ".join(f"{name} {count}" for name, count in asdict(gone).items()))


@audit_log.command("verify")
def audit_verify(
    site: Annotated[str | None, typer.Option("--site", help="site_id; all of them without it")] = None,
    config: Config = None,
) -> None:
    """Recompute the audit chains; prints their lengths and last hashes, to be noted elsewhere."""
    _, engine = _open(config)
    with reading(engine) as connection:
        for site_id in _sites(connection, site):
            verified = audit.verify(connection, site_id)
            print(
                f"{site_id}: {verified.lines} lines hold; "
                f"line {verified.last_number} has hash {verified.last_sha256}"
            )


@audit_log.command("show")
def audit_show(
    site: Site,
    last: Annotated[int, typer.Option(min=1, help="how many lines")] = 20,
    config: Config = None,
) -> None:
    """Print the latest lines of a site's audit, oldest first; they hold no plates."""
    _, engine = _open(config)
    with reading(engine) as connection:
        (known,) = _sites(connection, site)
        for line in audit.latest(connection, known, last):
            print(
                f"{line.number:6} {from_ms(line.at_ms):%Y-%m-%d %H:%M:%S} {line.actor} "
                f"{line.action} {line.subject} {json.dumps(line.detail, ensure_ascii=False)}"
            )


def _sites(connection: Connection, site: str | None) -> list[str]:
    known = sorted(connection.execute(select(sites.c.site_id)).scalars())
    if site is not None and site not in known:
        raise ConfigError(f"unknown site {site!r}; known: {', '.join(known) or 'none'}")
    return [site] if site is not None else known


def _add_credential(
    config: Path | None, site: str, role: access.Role, name: str, webhook_url: str | None = None
) -> str:
    _, engine = _open(config)
    with writing(engine) as connection:
        token, secret = access.add_credential(connection, site, role, name, system_clock(), webhook_url)
    print(token)
    return secret


@app.command()
def snapshot(site: Site, berth_no: BerthNumber, config: Config = None) -> None:
    """Pull a berth's latest snapshot from its pole, verify it, and print it as JSON (plate included)."""
    settings, engine = _open(config)
    taken = pull_snapshot(Cloud(engine=engine, settings=settings), site, berth_no)
    print(taken.model_dump_json(indent=2))


if __name__ == "__main__":
    main()
