"""`edged-cloud retention` and `edged-cloud audit`: what goes, and what stays."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from sqlalchemy import Connection, select

from cloud_endpoint.base.clock import from_ms, system_clock
from cloud_endpoint.base.errors import ConfigError
from cloud_endpoint.cli.options import Config, Site, opened
from cloud_endpoint.database.engine import reading
from cloud_endpoint.database.tables import sites
from cloud_endpoint.records import audit as audit_log
from cloud_endpoint.records import forgetting, retention
from edged.domain.plate import normalise

data = typer.Typer(no_args_is_help=True, help="Data that is no longer needed goes.")
audit = typer.Typer(no_args_is_help=True, help="The append-only record of what people did.")


@data.command("run")
def retention_run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count what would go")] = False,
    config: Config = None,
) -> None:
    """Delete what is older than its class is kept ([retention] in the config); run it daily."""
    settings, engine = opened(config)
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
    _, engine = opened(config)
    known = normalise(plate) if plate is not None else None
    gone = forgetting.forget(engine, site, system_clock(), plate=known, account_id=account_id)
    print(", ".join(f"{name} {count}" for name, count in asdict(gone).items()))


@audit.command("verify")
def audit_verify(
    site: Annotated[str | None, typer.Option("--site", help="site_id; all of them without it")] = None,
    config: Config = None,
) -> None:
    """Recompute the audit chains; prints their lengths and last hashes, to be noted elsewhere."""
    _, engine = opened(config)
    with reading(engine) as connection:
        for site_id in _sites(connection, site):
            verified = audit_log.verify(connection, site_id)
            print(
                f"{site_id}: {verified.lines} lines hold; "
                f"line {verified.last_number} has hash {verified.last_sha256}"
            )


@audit.command("show")
def audit_show(
    site: Site,
    last: Annotated[int, typer.Option(min=1, max=1_000_000, help="how many lines")] = 20,
    config: Config = None,
) -> None:
    """Print the latest lines of a site's audit, oldest first; they hold no plates."""
    _, engine = opened(config)
    with reading(engine) as connection:
        (known,) = _sites(connection, site)
        for line in audit_log.latest(connection, known, last):
            print(
                f"{line.number:6} {from_ms(line.at_ms):%Y-%m-%d %H:%M:%S} {line.actor} "
                f"{line.action} {line.subject} {json.dumps(line.detail, ensure_ascii=False)}"
            )


def _sites(connection: Connection, site: str | None) -> list[str]:
    known = sorted(connection.execute(select(sites.c.site_id)).scalars())
    if site is not None and site not in known:
        raise ConfigError(f"unknown site {site!r}; known: {', '.join(known) or 'none'}")
    return [site] if site is not None else known
