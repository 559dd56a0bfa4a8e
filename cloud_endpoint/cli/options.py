"""What the commands share: their options, and the database that they open."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from cloud_endpoint.base.errors import ConfigError, DatabaseUnavailable
from cloud_endpoint.base.settings import CloudSettings, load_settings
from cloud_endpoint.database import schema
from cloud_endpoint.database.engine import open_engine

Config = Annotated[
    Path | None,
    typer.Option("--config", envvar="EDGED_CLOUD_CONFIG", help="TOML file; see config/cloud.toml"),
]
Site = Annotated[str, typer.Option("--site", help="site_id of the registry")]
BerthNumber = Annotated[str, typer.Option("--berth-no", help="number as painted on the street")]
Name = Annotated[str, typer.Option("--name", help="name of the credential")]


def opened(config: Path | None) -> tuple[CloudSettings, Engine]:
    """Return the settings and a database that is ready; raises ConfigError."""
    settings = load_settings(config)
    engine = open_engine(settings.database.url, settings.database.pool_size)
    with explained(engine):
        schema.prepare(engine)
    return settings, engine


@contextmanager
def explained(engine: Engine) -> Iterator[None]:
    """Say which database it is that does not answer; without its password."""
    try:
        yield
    except DatabaseUnavailable as exc:
        url = engine.url.render_as_string(hide_password=True)
        raise ConfigError(
            f"database.url {url}: {exc}; check that it runs, that its folder is writable, and the URL"
        ) from exc
