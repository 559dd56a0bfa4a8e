"""How the bus tools show snapshots and traced frames."""

from collections.abc import Mapping
from typing import Any

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


def bus_table(snapshot: Mapping[str, Any]) -> Table:
    """One bus: a row for each sensor channel."""
    cycle = f", cycle {snapshot['cycle_s'] * 1000:.0f} ms" if snapshot["cycle_s"] else ""
    table = Table(title=f"bus {snapshot['bus']} on {snapshot['port']}{cycle}")
    if snapshot["port_error"]:
        table.caption = f"[red]{snapshot['port_error']}: {snapshot['port_remedy']}[/red]"
    for heading in ("unit", "sensor", "channel", "state", "value", "age", "quality", "p50/p99", "errors"):
        table.add_column(heading, overflow="fold")
    for sensor in snapshot["sensors"]:
        p50, p99 = sensor["reply_p50_ms"], sensor["reply_p99_ms"]
        reply = "" if p50 is None else f"{p50:.0f}/{p99:.0f} ms"
        errors = " ".join(f"{cause} {count}" for cause, count in sensor["errors"].items())
        colour = {"good": "green", "quarantined": "red", "unknown": "red"}.get(sensor["quality"], "yellow")
        for channel in sensor["channels"]:
            age = "" if channel["age_s"] is None else f"{channel['age_s']:.1f} s"
            value = "" if channel["value"] is None else f"{channel['value']:g}"
            state = channel["state"] or "unknown"
            state = f"{state}: {channel['cause']}" if state == "fault" else state
            quality = f"[{colour}]{sensor['quality']}[/{colour}]"
            cells = (str(sensor["device_id"]), sensor["sensor"], str(channel["channel"]), state, value, age)
            table.add_row(*cells, quality, reply, errors)
    return table
