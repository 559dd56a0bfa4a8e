"""The technician's desk: what may be asked of running buses, as plain data in and out.

The daemon puts `bus_commands(buses)` on its control socket; a command that finds no daemon runs the same
functions in its own process. Either way the bus's own thread sends the frames, between its turns.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from firmware_bridge.bus import SensorBus
from firmware_bridge.errors import BridgeError
from firmware_bridge.frames import Request
from firmware_bridge.trace import TraceBuffer, trace_header

Command = Callable[[Mapping[str, Any]], Any]


def bus_commands(buses: Mapping[str, SensorBus]) -> dict[str, Command]:
    """Commands by name. Each takes a mapping with its arguments and returns JSON-ready data.

    buses {} -> [BusSnapshot as a mapping]
    bus_ask {bus, device_id, function, address, count | value | values, response_timeout_s} -> the outcome
    bus_trace {bus, since} -> {newest, lost, events, header}; recording begins with the first call and ends
    half a minute after the last call
    """
    return {
        "buses": lambda _: [asdict(bus.snapshot()) for bus in buses.values()],
        "bus_ask": lambda request: _ask(_bus(buses, request), request),
        "bus_trace": lambda request: _trace(_bus(buses, request), int(request.get("since", 0))),
    }


def _bus(buses: Mapping[str, SensorBus], request: Mapping[str, Any]) -> SensorBus:
    name = str(request.get("bus"))
    if name not in buses:
        raise BridgeError(f"bus: got {name!r}: there are {', '.join(buses)}")
    return buses[name]


def _ask(bus: SensorBus, request: Mapping[str, Any]) -> dict[str, Any]:
    values = request.get("values") or ([] if request.get("value") is None else [request["value"]])
    outcome = bus.ask(
        Request(
            device_id=int(request["device_id"]),
            function=int(request["function"]),
            address=int(request["address"]),
            count=int(request.get("count", 1)),
            values=tuple(int(value) for value in values),
        ),
        response_timeout_s=float(request.get("response_timeout_s", 0.3)),
    )
    return {
        "cause": str(outcome.cause),
        "values": list(outcome.values),
        "exception_code": outcome.exception_code,
        "reply_ms": None if outcome.reply_s is None else outcome.reply_s * 1000,
    }


def _trace(bus: SensorBus, number: int) -> dict[str, Any]:
    if not isinstance(bus.tap, TraceBuffer):
        bus.tap = TraceBuffer()
    newest, lost, events = bus.tap.since(number, time.monotonic())
    return {
        "newest": newest,
        "lost": lost,
        "events": events,
        "header": trace_header(bus.settings, bus.sensors),
    }
