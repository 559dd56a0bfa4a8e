"""`edged diag`: a red, yellow or green light for each part, with cause and next action."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edged.cli.opening import DEFAULT_CONFIG, ConfigFile

if TYPE_CHECKING:
    from edged.diagnosis import Finding

_STATUS = {"green": 0, "yellow": 1, "red": 2}


def diag(
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Check every part of this box. Exit status: 0 all green, 1 something yellow, 2 something red."""
    findings = _as_json(config) if as_json else _as_table(config)
    raise typer.Exit(max((_STATUS[finding.light] for finding in findings), default=0))


def _as_json(config: Path) -> list["Finding"]:
    findings = []
    for finding in _found(config):
        typer.echo(json.dumps(asdict(finding), ensure_ascii=False))
        findings.append(finding)
    return findings


def _as_table(config: Path) -> list["Finding"]:
    from rich.console import Console
    from rich.live import Live
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"edged diag: {escape(str(config))}", title_justify="left")
    for column in ("", "part", "state", "next action"):
        table.add_column(column, overflow="fold")
    findings = []
    with Live(table, console=Console(), refresh_per_second=8, vertical_overflow="visible"):
        for finding in _found(config):
            light = f"[{finding.light}]● {finding.light}[/]"
            cells = (finding.part, finding.cause, finding.next_action)
            table.add_row(light, *(escape(cell) for cell in cells))
            findings.append(finding)
    return findings


def _found(config: Path) -> "Iterator[Finding]":
    from edged.diagnosis import Finding, Light, diagnose
    from edged.sensor_buses import complaints, spoilt_profiles
    from edged.settings import SettingsError, load_settings

    try:
        settings = load_settings(config)
        wrong = tuple(complaints(settings))
    except SettingsError as error:
        settings, wrong = None, error.complaints
    for complaint in wrong:
        yield Finding(
            part="config", light=Light.RED, cause=str(complaint), next_action="correct it: edged check-config"
        )
    if settings is not None and not wrong:
        yield Finding(part="config", light=Light.GREEN, cause=f"{len(settings.berth)} berths, no complaint")
        for complaint in spoilt_profiles(settings):
            action = "no sensor names it, so all work; correct it or take it away: edged check-config"
            yield Finding(part="profiles", light=Light.YELLOW, cause=str(complaint), next_action=action)
        yield from diagnose(settings)
