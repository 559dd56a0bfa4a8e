"""`edged diag`: a red, yellow or green light for each part, with cause and next action."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from edged.cli.opening import DEFAULT_CONFIG, ConfigFile
from edged.domain.health import Finding, HealthStatus
from edged.domain.masking import mask_in


def diag(
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Check every part of this box. Exit status: 0 all green, 1 something yellow, 2 something red."""
    findings = _as_json(config) if as_json else _as_table(config)
    raise typer.Exit(max((list(HealthStatus).index(finding.status) for finding in findings), default=0))


def _as_json(config: Path) -> list[Finding]:
    findings = []
    for finding in _found(config):
        row = {"part": finding.where, "light": finding.light, "cause": mask_in(finding.cause)}
        typer.echo(json.dumps({**row, "next_action": finding.remedy}, ensure_ascii=False))
        findings.append(finding)
    return findings


def _as_table(config: Path) -> list[Finding]:
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
            cells = (finding.where, mask_in(finding.cause), finding.remedy)
            table.add_row(light, *(escape(cell) for cell in cells))
            findings.append(finding)
    return findings


def _found(config: Path) -> Iterator[Finding]:
    from edged.diagnosis import diagnose
    from edged.sensor_buses import spoilt_profiles, troubles_of
    from edged.settings import SettingsError, load_settings

    try:
        settings = load_settings(config)
        wrong = tuple(troubles_of(settings))
    except SettingsError as error:
        settings, wrong = None, error.troubles
    for trouble in wrong:
        yield Finding(
            where="config",
            status=HealthStatus.FAILED,
            cause=str(trouble),
            remedy="correct it: edged check-config",
        )
    if settings is not None and not wrong:
        yield Finding.sound("config", f"{len(settings.berth)} berths, no complaint")
        for trouble in spoilt_profiles(settings):
            action = "no sensor names it, so all work; correct it or take it away: edged check-config"
            yield Finding(where="profiles", status=HealthStatus.DEGRADED, cause=str(trouble), remedy=action)
        yield from diagnose(settings)
