"""Ports and sensors: asked through the running daemon, which owns the ports, or asked once by ourselves."""

import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from edged.control import ControlError, ask
from edged.domain.health import Finding, HealthStatus
from edged.sensor_buses import sensor_buses
from edged.settings import Settings
from firmware_bridge import BridgeError, BusSnapshot, SensorBus

_BUS_WITHIN_S = 6.0
_FAILED_SHARE = 0.02  # of a sensor's requests; fewer are the weather, and a daemon may run for years


def check_buses(settings: Settings, running: bool) -> Iterator[Finding]:
    """Yield a finding for each port and each sensor."""
    if running:
        try:
            answers = ask(settings.store.directory, "buses")
        except ControlError as error:
            yield Finding(
                where="bus", status=HealthStatus.FAILED, cause=str(error), remedy="systemctl restart edged"
            )
            return
        for answer in answers:
            yield from _bus_findings(answer)
        return
    try:
        buses = sensor_buses(settings, lambda _observation: None)
    except BridgeError as error:
        yield Finding(where="bus", status=HealthStatus.FAILED, cause=str(error), remedy="edged check-config")
        return
    for bus in buses:
        yield from _bus_findings(_asked_once(bus))


def _asked_once(bus: SensorBus) -> dict[str, Any]:
    """Run a bus until each sensor has answered, the port fails, or time is up."""
    stop = threading.Event()
    thread = threading.Thread(target=bus.run, args=(stop,))
    thread.start()
    end_s = time.monotonic() + _BUS_WITHIN_S
    try:
        while time.monotonic() < end_s and not _is_settled(bus.snapshot()):
            stop.wait(0.05)
        return asdict(bus.snapshot())
    finally:
        stop.set()
        thread.join()


def _is_settled(snapshot: BusSnapshot) -> bool:
    known = all(channel.state is not None for sensor in snapshot.sensors for channel in sensor.channels)
    return snapshot.port_error is not None or known


def _bus_findings(bus: dict[str, Any]) -> Iterator[Finding]:
    """Yield the port's finding and one for each sensor; `bus` is a BusSnapshot as a dictionary."""
    part = f"bus {bus['bus']}"
    if bus["port_error"]:
        yield Finding(
            where=part, status=HealthStatus.FAILED, cause=bus["port_error"], remedy=bus["port_remedy"] or ""
        )
        return
    noise = f", {bus['noise_bytes']} stray bytes" if bus["noise_bytes"] else ""
    yield Finding.sound(part, f"{bus['port']} open{noise}")
    for sensor in bus["sensors"]:
        yield _sensor_finding(sensor)


def _sensor_finding(sensor: dict[str, Any]) -> Finding:
    part = f"sensor {sensor['sensor']}"
    errors = ", ".join(f"{count} x {cause}" for cause, count in sensor["errors"].items())
    if not sensor["answers"]:
        return Finding(
            where=part,
            status=HealthStatus.FAILED,
            cause=f"no answer from id {sensor['device_id']}" + (f" ({errors})" if errors else ""),
            remedy="check its power, the A/B wires and its id: edged bus scan",
        )
    states = ", ".join(f"{channel['state'] or 'unknown'}" for channel in sensor["channels"])
    if any(channel["state"] == "fault" for channel in sensor["channels"]):
        causes = ", ".join(channel["cause"] for channel in sensor["channels"])
        return Finding(
            where=part,
            status=HealthStatus.FAILED,
            cause=f"answers, but says: {causes}",
            remedy="look at the sensor and its loop or aim; see the maker's manual",
        )
    failed = sum(sensor["errors"].values())
    often = failed > _FAILED_SHARE * sensor["requests"]
    action = "check wiring, termination and shielding" if often else ""
    reply = f" in {sensor['reply_p50_ms']:.0f} ms" if sensor["reply_p50_ms"] else ""
    return Finding(
        where=part,
        status=HealthStatus.DEGRADED if often else HealthStatus.OK,
        cause=f"{states}; answers{reply}" + (f"; {errors} in {sensor['requests']}" if errors else ""),
        remedy=action,
    )
