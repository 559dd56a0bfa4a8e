"""The bus room's threads, and what they say of their health."""

import threading

from edged.domain.health import Finding, HealthStatus
from edged.workers.bus_findings import findings_of
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
        """Why there is no port, or which sensors do not work."""
        return tuple(f for f in findings_of(self.bus.snapshot()) if f.status is not HealthStatus.OK)
