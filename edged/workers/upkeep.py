"""What is due each minute: retention, free space, the clock's state and the last-known time."""

import shutil
import threading
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from edged.box.clock import Clock
from edged.domain.health import Finding, HealthStatus
from edged.domain.timekeeping import advanced, is_believed, is_trusted
from edged.store import Store, StoreError
from edged.workers.health_book import HealthBook
from edged.workers.recording import DISK_DEADLINE_S

_EVERY_S = 60.0
_TICK_S = 1.0
_LOW_SPACE_MIB = 64


class CloudTime(Protocol):
    """The cloud's clock, as far as it was heard of in this boot."""

    def cloud_utc(self, monotonic_s: float) -> datetime | None: ...


class UpkeepWorker:
    """Once a minute, and as soon as the clock is believed."""

    name = "upkeep"
    deadline_s = DISK_DEADLINE_S

    def __init__(
        self, directory: Path, store: Store, clock: Clock, cloud: CloudTime, health: HealthBook
    ) -> None:
        self.last_progress_s = time.monotonic()
        self._directory = directory
        self._store = store
        self._clock = clock
        self._cloud = cloud
        self._health = health

    def run(self, stop: threading.Event) -> None:
        next_s = 0.0
        was_believed = False
        while not stop.wait(_TICK_S):
            self.last_progress_s = time.monotonic()
            believed = is_believed(self._clock.now(), self._cloud_utc())
            if self.last_progress_s >= next_s or (believed and not was_believed):
                next_s = self.last_progress_s + (_EVERY_S if self._store.is_open else _TICK_S)
                self._evict()
                self._look_at_outbox()
                self._look_at_disk()
                self._look_at_clock()
            was_believed = believed

    def _cloud_utc(self) -> datetime | None:
        return self._cloud.cloud_utc(time.monotonic())

    def _keep_time(self) -> None:
        """Keep the last-known time, and what proves the time of this boot's records after a reboot."""
        now, cloud_utc = self._clock.now(), self._cloud_utc()
        known = advanced(self._store.known_time(), now, cloud_utc)
        self._store.keep_time(known, now, is_believed=is_believed(now, cloud_utc))

    def _evict(self) -> None:
        if not self._store.is_open:
            return  # the store says why itself
        now = self._clock.now()
        try:
            self._keep_time()
            trusted = is_trusted(now, self._store.known_time(), self._cloud_utc())
            self._store.evict(replace(now, clock_synced=trusted))
        except StoreError as error:
            self._health.enter(Finding.of("retention", HealthStatus.DEGRADED, error.trouble))
        else:
            self._health.clear("retention")

    def _look_at_outbox(self) -> None:
        """Report events that the cloud refused: they are tried again once a day."""
        if not self._store.is_open:
            return
        try:
            newest = self._store.rejected(limit=1)
            count = self._store.counts().rejected if newest else 0
        except StoreError:
            return  # the store reports it itself
        if not newest:
            self._health.clear("outbox")
            return
        cause = f"the cloud refused {count} events, the newest because: {newest[0].reason}"
        remedy = "tell the operator of the cloud; `edged outbox` lists them; they are tried again once a day"
        self._health.report("outbox", HealthStatus.DEGRADED, cause, remedy)

    def _look_at_disk(self) -> None:
        try:
            free_mib = shutil.disk_usage(self._directory).free >> 20
        except OSError as error:
            remedy = "check the disk (dmesg, smartctl) and its mount"
            self._health.report("disk", HealthStatus.FAILED, f"{self._directory}: {error.strerror}", remedy)
            return
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
