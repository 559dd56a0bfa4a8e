"""`edged visits`: which vehicle stood where, when, and what was read."""

import json
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from edged.cli.opening import DEFAULT_CONFIG, ConfigFile, opened_settings, plainly
from edged.domain.masking import mask
from edged.domain.timekeeping import Stamp
from edged.wire import ReadingView

if TYPE_CHECKING:
    from rich.table import Table

    from edged.store import StoredReading, Visit


def visits(
    config: ConfigFile = DEFAULT_CONFIG,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 20,
    berth: Annotated[str | None, typer.Option(help="Only this berth.")] = None,
    show_plates: Annotated[
        bool, typer.Option("--show-plates", help="Plates in full (personal data).")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List visits, newest first."""
    from rich.console import Console

    from edged.store import Archive

    settings = opened_settings(config)
    with plainly(), Archive.open_existing(settings.store.directory) as archive:
        found = archive.visits(limit, berth)
    if as_json:
        for visit in found:
            typer.echo(json.dumps(_as_json(visit, show_plates), ensure_ascii=False))
    elif found:
        Console().print(_as_table(found, ZoneInfo(settings.site.time_zone), show_plates))
    else:
        Console().print("no visits yet")


def _plate(stored: "StoredReading | None", show: bool) -> str | None:
    if stored is None or stored.reading is None:
        return None
    return stored.reading.text if show else mask(stored.reading.text)


def _as_json(visit: "Visit", show_plates: bool) -> dict[str, Any]:
    stored = visit.reading
    view = ReadingView.of(stored.reading) if stored else None
    return {
        "visit_id": visit.visit_id,
        "berth_no": visit.berth_no,
        "arrived": visit.arrived.utc.isoformat() if visit.arrived else None,
        "arrived_clock_synced": visit.arrived.clock_synced if visit.arrived else None,
        "arrived_cause": visit.arrived_cause,
        "left": visit.left.utc.isoformat() if visit.left else None,
        "left_cause": visit.left_cause,
        "plate": _plate(stored, show_plates),
        "plate_kind": view.plate_kind if view else None,
        "confidence": view.confidence if view else None,
        "accepted": view.accepted if view else None,
        "evidence_sha256": stored.evidence_sha256 if stored else None,
        "delivered": visit.delivered,
    }


def _as_table(found: list["Visit"], zone: ZoneInfo, show_plates: bool) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title=f"visits, month-day and time in {zone.key}", box=box.SIMPLE_HEAD)
    for heading in ("berth", "arrived", "left", "plate", "weakest", "accepted", "sent"):
        table.add_column(heading, justify="right" if heading == "weakest" else "left", no_wrap=True)
    for visit in found:
        stored = visit.reading
        view = ReadingView.of(stored.reading) if stored else None
        table.add_row(
            visit.berth_no,
            _time(visit.arrived, zone) if visit.arrived else "lost",
            _time(visit.left, zone) if visit.left else "still there",
            _plate(stored, show_plates) or ("none seen" if stored else "not read"),
            f"{view.confidence:.3f}" if view else "",
            ("yes" if view.accepted else "no") if view else "",
            "yes" if visit.delivered else "no",
        )
    if any(visit.arrived and not visit.arrived.clock_synced for visit in found):
        table.caption = "? the clock was not set then"
    return table


def _time(stamp: Stamp, zone: ZoneInfo) -> str:
    return f"{stamp.utc.astimezone(zone):%m-%d %H:%M:%S}{'' if stamp.clock_synced else ' ?'}"
