"""The bus room's threads, and what they say of their health."""

import threading
from collections.abc import Iterator

from edged.domain.health import Finding, HealthStatus
from firmware_bridge import SensorBus


class BusWorker:
    """Runs one bus. A missing port or a dead sensor is the bus's own business, and shows in `problems`."""

    deadline_s = 15.0

    def __init__(self, bus: SensorBus) -> None:
        self.name = f"bus {bus.settings.name}"
        self.bus = bus

    @property
    def last_progress_s(self) -> float:
        return self.bus.last_progress_s

    def run(self, stop: threading.Event) -> None:
        self.bus.run(stop)

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Why there is no port, or which sensors do not answer."""
        return tuple(self._findings())

    def _findings(self) -> Iterator[Finding]:
        snapshot = self.bus.snapshot()
        if snapshot.port_error is not None:
            remedy = snapshot.port_remedy or "look at the adapter"
            yield Finding(
                where=self.name, status=HealthStatus.FAILED, cause=snapshot.port_error, remedy=remedy
            )
            return
        for sensor in snapshot.sensors:
            if sensor.quality in ("quarantined", "failing"):
                cause = f"sensor {sensor.sensor} (id {sensor.device_id}) does not answer"
                remedy = "check its power, cable and id: `edged bus watch`, `edged bus scan`"
                yield Finding(where=self.name, status=HealthStatus.DEGRADED, cause=cause, remedy=remedy)
