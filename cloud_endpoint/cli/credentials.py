"""`edged-cloud terminal` and `edged-cloud operator`: who may ask for what."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cloud_endpoint.access import credentials
from cloud_endpoint.base.clock import system_clock
from cloud_endpoint.cli.options import Config, Name, Site, opened
from cloud_endpoint.database.engine import writing

terminal = typer.Typer(no_args_is_help=True, help="Credentials of the apps that drivers order with.")
operator = typer.Typer(no_args_is_help=True, help="Credentials of the people who run the street.")


@terminal.command("add")
def terminal_add(
    site: Site,
    name: Name,
    webhook_url: Annotated[str | None, typer.Option(help="where instructions that follow later go")] = None,
    config: Config = None,
) -> None:
    """Print the bearer token of a new terminal; the signing secret goes to stderr. Both are shown once."""
    secret = _add_credential(config, site, credentials.Role.TERMINAL, name, webhook_url)
    print(f"signing secret of webhooks and payment callbacks: {secret}", file=sys.stderr)


@terminal.command("revoke")
def terminal_revoke(name: Name, config: Config = None) -> None:
    """End a credential of a terminal or an operator."""
    _, engine = opened(config)
    with writing(engine) as connection:
        credentials.revoke_credential(connection, name, system_clock())


@operator.command("add")
def operator_add(site: Site, name: Name, config: Config = None) -> None:
    """Print the bearer token of a new operator; it is shown once."""
    _add_credential(config, site, credentials.Role.OPERATOR, name)


operator.command("revoke")(terminal_revoke)


def _add_credential(
    config: Path | None, site: str, role: credentials.Role, name: str, webhook_url: str | None = None
) -> str:
    _, engine = opened(config)
    with writing(engine) as connection:
        token, secret = credentials.add_credential(connection, site, role, name, system_clock(), webhook_url)
    print(token)
    return secret
