"""`edged enrol`: trades the operator's one-time code for this box's credentials."""

import os
from typing import Annotated

import typer

from edged.cli.opening import DEFAULT_CONFIG, ConfigFile, opened_settings, plainly


def enrol(
    code: Annotated[str, typer.Option(help="The one-time code from the operator.")],
    config: ConfigFile = DEFAULT_CONFIG,
    replace: Annotated[bool, typer.Option("--replace", help="Enrol again, for example a new box.")] = False,
) -> None:
    """Enrol this box with the cloud; a running daemon notices by itself."""
    from edged import uplink

    settings = opened_settings(config)
    path = settings.uplink.credentials
    with plainly():
        credentials = uplink.enrol(
            settings.uplink,
            code=code.strip(),
            device_id=settings.site.device_id,
            berths=[berth.berth_no for berth in settings.berth],
            snapshot_url=settings.snapshot_api.public_url,
            replace=replace,
        )
    typer.echo(f"{credentials.device_id} is enrolled; credentials in {path}")
    store = settings.store.directory
    if os.geteuid() == 0 and store.is_dir():
        # run with sudo: who owns the records is who the daemon runs as, and must be able to read this
        os.chown(path, store.stat().st_uid, store.stat().st_gid)
