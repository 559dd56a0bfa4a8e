"""What nobody else does: retention, free space, the clock's state."""

import shutil
import threading
import time
from pathlib import Path

from edged.clock import Clock
from edged.domain.health import Finding, HealthStatus
from edged.store import Store, StoreError
from edged.workers.health_book import HealthBook

_EVERY_S = 60.0
_TICK_S = 1.0
_LOW_SPACE_MIB = 64


class UpkeepWorker:
    """Once a minute."""

    name = "upkeep"
    deadline_s = 120.0

    def __init__(self, directory: Path, store: Store, clock: Clock, health: HealthBook) -> None:
        self.last_progress_s = time.monotonic()
        self._directory = directory
        self._store = store
        self._clock = clock
        self._health = health

    def run(self, stop: threading.Event) -> None:
        next_s = 0.0
        while not stop.wait(_TICK_S):
            self.last_progress_s = time.monotonic()
            if self.last_progress_s >= next_s:
                next_s = self.last_progress_s + _EVERY_S
                self._evict()
                self._look_at_disk()
                self._look_at_clock()

    def _evict(self) -> None:
        try:
            self._store.evict(self._clock.now())
        except StoreError as error:
            self._health.enter(Finding.of("retention", HealthStatus.DEGRADED, error.trouble))
        else:
            self._health.clear("retention")

    def _look_at_disk(self) -> None:
        free_mib = shutil.disk_usage(self._directory).free >> 20
        if free_mib < _LOW_SPACE_MIB:
            remedy = f"free space, or lower max_size_mib; {self._directory} is on that disk"
            self._health.report("disk", HealthStatus.DEGRADED, f"only {free_mib} MiB left", remedy)
        else:
            self._health.clear("disk")

    def _look_at_clock(self) -> None:
        if self._clock.is_synced():
            self._health.clear("clock")
        else:
            self._health.report(
                "clock",
                HealthStatus.DEGRADED,
                "not synchronised; records are corrected once it is",
                "check NTP with `timedatectl`",
            )
