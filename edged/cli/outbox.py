"""`edged outbox`: what the cloud does not know yet, and what it refused."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from edged.cli.opening import DEFAULT_CONFIG, ConfigFile, opened_settings, plainly
from edged.domain.masking import mask_in

if TYPE_CHECKING:
    from edged.store import OutboxCounts, RejectedEvent

outbox_app = typer.Typer(help="What the cloud does not know yet, and what it refused.")


@outbox_app.callback(invoke_without_command=True)
def outbox(
    context: typer.Context,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show how many events wait, since when, and which were refused."""
    if context.invoked_subcommand is not None:
        return
    from edged.store import Archive

    settings = opened_settings(config)
    with plainly(), Archive.open_existing(settings.store.directory) as archive:
        counts = archive.counts()
        refused = archive.rejected()
    if as_json:
        typer.echo(json.dumps(_as_json(counts, refused), ensure_ascii=False))
    else:
        _print(counts, refused)


@outbox_app.command()
def requeue(
    event_id: Annotated[str | None, typer.Argument(help="The refused event.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All refused events.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Send refused events again, after the cause was mended."""
    if (event_id is None) is not every:
        raise typer.BadParameter("name one event, or say --all")
    from edged.store import requeue_rejected

    settings = opened_settings(config)
    with plainly():
        count = requeue_rejected(settings.store.directory, event_id)
    if count == 0 and event_id is not None:
        typer.echo(f"no refused event {event_id}; `edged outbox` lists them", err=True)
        raise typer.Exit(1)
    typer.echo(f"{count} event{'' if count == 1 else 's'} will be sent again")


def _as_json(counts: "OutboxCounts", refused: list["RejectedEvent"]) -> dict[str, object]:
    return {
        "waiting": counts.waiting,
        "oldest": counts.oldest.utc.isoformat() if counts.oldest else None,
        "rejected": counts.rejected,
        "uploads": counts.uploads,
        "dropped": counts.dropped,
        "rejected_events": [
            {
                "event_id": event.event_id,
                "kind": event.kind,
                "berth_no": event.berth_no,
                "at": event.stamp.utc.isoformat(),
                "reason": mask_in(event.reason),
            }
            for event in refused
        ],
    }


def _print(counts: "OutboxCounts", refused: list["RejectedEvent"]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    oldest = ""
    if counts.oldest is not None:
        age_s = (datetime.now(UTC) - counts.oldest.utc).total_seconds()
        oldest = f", the oldest for {_duration(age_s)}"
    console.print(f"{counts.waiting} events wait for the cloud{oldest}")
    console.print(f"{counts.uploads} pictures wait to be uploaded")
    for cause, count in sorted(counts.dropped.items()):
        console.print(f"dropped so far: {count} {cause.replace('_', ' ')}")
    if not refused:
        return
    table = Table(title=f"refused by the cloud: {counts.rejected}", caption="edged outbox requeue EVENT_ID")
    for heading in ("event", "kind", "berth", "at (UTC)", "reason"):
        table.add_column(heading, overflow="fold")
    for event in refused:
        at = f"{event.stamp.utc:%Y-%m-%d %H:%M:%S}"
        table.add_row(event.event_id, event.kind, event.berth_no, at, Text(mask_in(event.reason)))
    console.print(table)


def _duration(seconds: float) -> str:
    for size_s, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size_s:
            return f"{seconds / size_s:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
