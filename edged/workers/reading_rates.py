"""Berths and cameras that give fewer plates than they should, entered in health."""

import time
from collections.abc import Iterable, Iterator

from edged.box.clock import Clock
from edged.domain.health import Finding, HealthStatus
from edged.domain.reading_rate import UNREAD_IN_A_ROW, VISITS, fallen_cameras, unread_berths
from edged.settings import BerthSettings
from edged.store import Store, StoreError
from edged.workers.health_book import HealthBook

_EVERY_S = 10.0
# The first burst of an arrival is read within seconds; a retry or two belong to it.
_SETTLED_S = 20.0
_REMEDY = (
    "look at the evidence pictures: is the outline drawn on this picture, is the camera aimed, focused and"
    " clean, is the plate in the light"
)


class ReadingRates:
    """Used by the reading worker's thread."""

    def __init__(
        self, berths: Iterable[BerthSettings], store: Store, clock: Clock, health: HealthBook
    ) -> None:
        self._camera_of = {berth.berth_no: berth.camera for berth in berths if berth.in_service}
        self._store = store
        self._clock = clock
        self._health = health
        self._next_s = 0.0
        self._entered: set[str] = set()

    def look(self) -> None:
        """Enter what is wrong now and clear what is over, if it is time again."""
        now_s = time.monotonic()
        if now_s < self._next_s or not self._store.is_open:
            return
        self._next_s = now_s + _EVERY_S
        try:
            found = {finding.where: finding for finding in self._findings()}
        except StoreError:
            return  # the store reports it itself
        for where in self._entered - found.keys():
            self._health.clear(where)
        for finding in found.values():
            self._health.enter(finding)
        self._entered = set(found)

    def _findings(self) -> Iterator[Finding]:
        visits = self._store.read_visits(VISITS * len(self._camera_of), self._clock.now(), _SETTLED_S)
        for berth_no in sorted(unread_berths(visits) & self._camera_of.keys()):
            cause = f"no accepted plate in the latest {UNREAD_IN_A_ROW} visits"
            yield Finding(
                where=f"readings of berth {berth_no}",
                status=HealthStatus.DEGRADED,
                cause=cause,
                remedy=_REMEDY,
            )
        for camera, fall in sorted(fallen_cameras(visits, self._camera_of).items()):
            cause = f"{fall.now:.0%} of the latest visits have an accepted plate, usually {fall.usually:.0%}"
            yield Finding(
                where=f"readings of camera {camera}",
                status=HealthStatus.DEGRADED,
                cause=cause,
                remedy=_REMEDY,
            )
