"""`edged visits`: which vehicle stood where, when, and what was read."""

import json
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from edged.cli.opening import DEFAULT_CONFIG, ConfigFile, opened_settings, plainly
from edged.domain.masking import mask
from edged.domain.timekeeping import Stamp

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


def _plate(reading: "StoredReading | None", show: bool) -> str | None:
    if reading is None or reading.plate is None:
        return None
    return reading.plate if show else mask(reading.plate)


def _as_json(visit: "Visit", show_plates: bool) -> dict[str, Any]:
    reading = visit.reading
    return {
        "visit_id": visit.visit_id,
        "berth_no": visit.berth_no,
        "arrived": visit.arrived.utc.isoformat() if visit.arrived else None,
        "arrived_clock_synced": visit.arrived.clock_synced if visit.arrived else None,
        "arrived_cause": visit.arrived_cause,
        "left": visit.left.utc.isoformat() if visit.left else None,
        "left_cause": visit.left_cause,
        "plate": _plate(reading, show_plates),
        "plate_kind": reading.plate_kind if reading else None,
        "confidence": reading.confidence if reading else None,
        "accepted": reading.accepted if reading else None,
        "evidence_sha256": reading.evidence_sha256 if reading else None,
        "delivered": visit.delivered,
    }


def _as_table(found: list["Visit"], zone: ZoneInfo, show_plates: bool) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title=f"visits, month-day and time in {zone.key}", box=box.SIMPLE_HEAD)
    for heading in ("berth", "arrived", "left", "plate", "weakest", "accepted", "sent"):
        table.add_column(heading, justify="right" if heading == "weakest" else "left", no_wrap=True)
    for visit in found:
        reading = visit.reading
        table.add_row(
            visit.berth_no,
            _time(visit.arrived, zone) if visit.arrived else "lost",
            _time(visit.left, zone) if visit.left else "still there",
            _plate(reading, show_plates) or ("none seen" if reading else "not read"),
            f"{reading.confidence:.3f}" if reading else "",
            ("yes" if reading.accepted else "no") if reading else "",
            "yes" if visit.delivered else "no",
        )
    if any(visit.arrived and not visit.arrived.clock_synced for visit in found):
        table.caption = "? the clock was not set then"
    return table


def _time(stamp: Stamp, zone: ZoneInfo) -> str:
    return f"{stamp.utc.astimezone(zone):%m-%d %H:%M:%S}{'' if stamp.clock_synced else ' ?'}"
