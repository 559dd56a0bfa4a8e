"""`edged diag`: a light for each part; causes come first, what follows from them stands under them."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edged.cli.opening import DEFAULT_CONFIG, ConfigFile

if TYPE_CHECKING:
    from edged.domain.causes import Cause, Needs
    from edged.domain.health import Finding
    from edged.settings import Settings

_STATUS = {"green": 0, "yellow": 1, "red": 2}


def diag(
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Check every part of this box within 15 s. Exit status: 0 all green, 1 something yellow, 2 red.

    A trouble that explains others comes first, with the others under it. The last line names the worst one.
    """
    from edged.domain.causes import arrange

    view = _Json() if as_json else _Text()
    findings, needs = _diagnose(config, view)
    view.end(arrange(findings, needs), _sound(findings))
    raise typer.Exit(max((_STATUS[finding.light] for finding in findings), default=0))


def _diagnose(config: Path, view: "_Text | _Json") -> "tuple[list[Finding], Needs]":
    """Return all findings; the view gets what is known at once before the slow checks begin."""
    from edged.domain.causes import arrange, consistent
    from edged.settings import needs_of

    settings, findings = _of_config(config)
    if settings is None:
        return findings, {}
    from edged.diagnosis import ask_daemon, check_at_once, check_parts

    daemon = ask_daemon(settings.store.directory)
    needs = needs_of(settings)
    findings = consistent([*findings, *check_at_once(settings, daemon)])
    view.begin(arrange(findings, needs), _sound(findings))
    findings += check_parts(settings, daemon)
    return consistent(findings), needs


def _of_config(config: Path) -> "tuple[Settings | None, list[Finding]]":
    """Return the settings, None when they cannot be used, and what is to be said of them."""
    from edged.domain.health import Finding, HealthStatus
    from edged.sensor_buses import spoilt_profiles, troubles_of
    from edged.settings import SettingsError, load_settings

    try:
        settings = load_settings(config)
        wrong = tuple(troubles_of(settings))
    except SettingsError as error:
        wrong = error.troubles
    if wrong:
        remedy = "correct it: edged check-config"
        return None, [
            Finding(where="config", status=HealthStatus.FAILED, cause=str(trouble), remedy=remedy)
            for trouble in wrong
        ]
    remedy = "no sensor names it, so all work; correct it or take it away: edged check-config"
    spoilt = [
        Finding(where="profiles", status=HealthStatus.DEGRADED, cause=str(trouble), remedy=remedy)
        for trouble in spoilt_profiles(settings)
    ]
    return settings, [Finding.sound("config", f"{len(settings.berth)} berths, no complaint"), *spoilt]


def _sound(findings: "Iterable[Finding]") -> "list[Finding]":
    return [finding for finding in findings if finding.light == "green"]


def _summary(causes: "Sequence[Cause]") -> str:
    """Return one line: the worst cause and its next action."""
    if not causes:
        return "all parts work"
    worst = causes[0].finding
    others = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
    action = f" -> {worst.remedy}" if worst.remedy else ""
    return f"{worst.where}: {worst.cause}{action}{others}"


class _Json:
    """One object a finding: part, light, cause, next_action, and follows_from: the cause's part or null."""

    def __init__(self) -> None:
        self._shown: list[Finding] = []

    def begin(self, known: "Sequence[Cause]", sound: "Sequence[Finding]") -> None:
        """Show what is sound; what follows from what is known once every part was checked."""
        self._shown += sound
        for finding in sound:
            self._echo(finding, None)

    def end(self, causes: "Sequence[Cause]", sound: "Sequence[Finding]") -> None:
        for cause in causes:
            self._echo(cause.finding, None)
            for finding in cause.consequences:
                self._echo(finding, cause.finding.where)
        for finding in sound:
            if finding not in self._shown:
                self._echo(finding, None)

    def _echo(self, finding: "Finding", follows_from: str | None) -> None:
        item: dict[str, Any] = {
            "part": finding.where,
            "light": finding.light,
            "cause": finding.cause,
            "next_action": finding.remedy,
            "follows_from": follows_from,
        }
        typer.echo(json.dumps(item, ensure_ascii=False))


class _Text:
    """Lines instead of a table: they fit a phone and a serial console."""

    def begin(self, known: "Sequence[Cause]", _sound: "Sequence[Finding]") -> None:
        typer.echo(_summary(known) if known else "no trouble is known yet")
        typer.echo("checking ports, cameras, models and the cloud ...\n")

    def end(self, causes: "Sequence[Cause]", sound: "Sequence[Finding]") -> None:
        for cause in causes:
            self._show(cause.finding)
            for finding in cause.consequences:
                self._show(finding, under=cause.finding)
        for finding in sound:
            self._show(finding)
        typer.echo(f"\n{_summary(causes)}")

    def _show(self, finding: "Finding", under: "Finding | None" = None) -> None:
        light = typer.style(f"● {finding.light:6}", fg=finding.light)
        indent = "  └ " if under else ""
        typer.echo(f"{indent}{light} {finding.where}: {finding.cause}")
        if finding.remedy and not (under and finding.where != under.where):
            typer.echo(f"{indent}         -> {finding.remedy}")
