"""How the bus tools show snapshots and traced frames."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from firmware_bridge.trace import describe


def in_words(event: Mapping[str, Any]) -> str:
    """One traced event as a line for people."""
    at = f"{event['t']:10.4f}"
    if "sent" in event:
        frame = bytes.fromhex(event["sent"])
        return f"{at} -> {frame.hex(' ')}   {describe(frame)}"
    if "heard" in event:
        return f"{at} <- {bytes.fromhex(event['heard']).hex(' ')}"
    detail = f" {event['values']}" if event["values"] else ""
    took = f" after {event['reply_ms']} ms" if "reply_ms" in event else ""
    return f"{at} == {event['end']}{detail}{took}"


def bus_table(snapshot: Mapping[str, Any], berths: Mapping[tuple[str, int], str]) -> Table:
    """One bus: a row for each sensor channel, with the berth that it watches and what is read for it."""
    cycle = f", cycle {snapshot['cycle_s'] * 1000:.0f} ms" if snapshot["cycle_s"] else ""
    table = Table(title=f"bus {snapshot['bus']} on {snapshot['port']}{cycle}")
    troubles = [f"{trouble['cause']}: {trouble['remedy']}" for trouble in snapshot.get("troubles", ())]
    if snapshot["port_error"]:
        troubles.insert(0, f"{snapshot['port_error']}: {snapshot['port_remedy']}")
    if troubles:
        table.caption = "\n".join(f"[red]{escape(trouble)}[/red]" for trouble in troubles)
    headings = (
        "berth",
        "sensor",
        "channel",
        "reads",
        "state",
        "value",
        "age",
        "quality",
        "p50/p99",
        "errors",
    )
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for sensor in snapshot["sensors"]:
        for channel in sensor["channels"]:
            berth_no = berths.get((sensor["sensor"], channel["channel"]), "")
            table.add_row(berth_no, *_cells(sensor, channel))
    return table


def _cells(sensor: Mapping[str, Any], channel: Mapping[str, Any]) -> tuple[str, ...]:
    p50, p99 = sensor["reply_p50_ms"], sensor["reply_p99_ms"]
    colour = {"good": "green", "quarantined": "red", "unknown": "red"}.get(sensor["quality"], "yellow")
    state = channel["state"] or "unknown"
    return (
        sensor["sensor"],
        str(channel["channel"]),
        channel["reads"],
        f"{state}: {channel['cause']}" if state == "fault" else state,
        "" if channel["value"] is None else f"{channel['value']:g}",
        "" if channel["age_s"] is None else f"{channel['age_s']:.1f} s",
        f"[{colour}]{sensor['quality']}[/{colour}]",
        "" if p50 is None else f"{p50:.0f}/{p99:.0f} ms",
        " ".join(f"{cause} {count}" for cause, count in sensor["errors"].items()),
    )
