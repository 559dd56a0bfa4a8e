"""Ports and sensors: asked through the running daemon, which owns the ports, or asked once by ourselves."""

import threading
import time

from edged.control import ControlError
from edged.diagnosis.daemon import ask_buses
from edged.domain.health import Finding, HealthStatus
from edged.sensor_buses import sensor_buses
from edged.settings import Settings
from edged.workers.bus_findings import findings_of
from firmware_bridge import BridgeError, BusSnapshot, SensorBus

_BUS_WITHIN_S = 6.0


def check_running_buses(settings: Settings) -> list[Finding]:
    """Return what the running daemon says of its ports and sensors."""
    try:
        snapshots = ask_buses(settings.store.directory)
    except ControlError as error:
        return [_of_all(str(error), "restart the daemon: systemctl restart edged")]
    return [finding for snapshot in snapshots for finding in findings_of(snapshot)]


def check_idle_buses(settings: Settings) -> list[Finding]:
    """Open each port, ask each sensor, all buses at once; for a box whose daemon does not run."""
    try:
        buses = sensor_buses(settings, lambda _observation: None)
    except BridgeError as error:
        return [_of_all(str(error), "edged check-config")]
    stop = threading.Event()
    threads = [threading.Thread(target=bus.run, args=(stop,)) for bus in buses]
    for thread in threads:
        thread.start()
    try:
        return [finding for bus in buses for finding in findings_of(_settled(bus))]
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _settled(bus: SensorBus) -> BusSnapshot:
    """Wait until each sensor has answered, the port has failed, or time is up."""
    end_s = bus.last_progress_s + _BUS_WITHIN_S
    while time.monotonic() < end_s and not _is_settled(bus.snapshot()):
        time.sleep(0.05)
    return bus.snapshot()


def _is_settled(snapshot: BusSnapshot) -> bool:
    known = all(channel.state is not None for sensor in snapshot.sensors for channel in sensor.channels)
    return snapshot.port_error is not None or known


def _of_all(cause: str, remedy: str) -> Finding:
    return Finding(where="bus", status=HealthStatus.FAILED, cause=cause, remedy=remedy)
