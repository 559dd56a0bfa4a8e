"""Which readings may decide: one berth a plate, and none from a view that has turned out bad."""

import time
from collections.abc import Mapping
from dataclasses import replace

import structlog

from edged.box.clock import Clock
from edged.domain.health import HealthStatus
from edged.domain.masking import mask
from edged.domain.same_plate import OpenPlate, SamePlates
from edged.domain.timekeeping import Stamp
from edged.settings import BerthSettings
from edged.store import NewReading, Store, Visit
from edged.view import Judgement
from edged.workers.health_book import HealthBook
from edged.workers.queues import CaptureJob, CaptureQueue, Reason
from edged.workers.views import ViewBook

log = structlog.get_logger()

# A car that changes its berth takes longer; a neighbour's plate or an old picture does not.
_LATELY_S = 60.0
_LATEST_VISITS = 20
_REMEDY = "look at both berths: a cloned plate, a car in two berths, or a camera that is wrongly aimed"


class PlateClaims:
    """Takes acceptance from readings. Used by the reading worker's thread.

    A call may raise StoreError; the same call again is safe.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        health: HealthBook,
        captures: Mapping[str, CaptureQueue],
        views: ViewBook,
    ) -> None:
        self._store = store
        self._clock = clock
        self._health = health
        self._captures = captures
        self._views = views
        self._same_plates = SamePlates()
        self._entered: dict[str, str] = {}  # what health shows: by part, the visit concerned

    def is_alone(self, job: CaptureJob, new: NewReading, *, is_known: bool) -> bool:
        """Tell whether no other berth shows this accepted plate; otherwise have both looked at.

        `is_known`: this visit had the plate accepted before.
        """
        plate = new.reading.text if new.reading else ""
        is_first = job.attempt == 0 and not is_known
        if is_first and self._stood_elsewhere(new.berth_no, plate, new.captured):
            return False  # the next look, 3 s later, counts
        visits = {visit.visit_id: visit for visit in self._store.open_visits()}
        open_plates = [_open_plate(visit) for visit in visits.values() if visit.reading]
        claim = self._same_plates.claim(new.visit_id, plate, open_plates)
        part = f"plate of berth {new.berth_no}"
        if claim.accepted:
            self._clear(part)
            return True
        for other in claim.withdraw:
            self._withdraw(visits[other.visit_id], new.captured)
            self._look_again(other.berth_no, other.visit_id)
        if claim.look_again and job.reason is Reason.REQUEST:  # others are tried again by themselves
            self._look_again(new.berth_no, new.visit_id)
        if claim.still_shown_in:
            where = ", ".join(claim.still_shown_in)
            cause = f"{mask(plate)} stands in berth {where} too, by fresh pictures of both"
            self._entered[part] = new.visit_id
            self._health.report(part, HealthStatus.DEGRADED, cause, _REMEDY)
        return False

    def looked(self, new: NewReading) -> None:
        """Note what a fresh look at an open visit shows."""
        self._same_plates.looked(new.visit_id, new.reading.text if new.reading else "")
        part = f"plate of berth {new.berth_no}"
        if part in self._entered and not self._same_plates.concerns(new.visit_id):
            self._clear(part)

    def clear_ended(self) -> None:
        """Clear what health shows of visits that have ended. It raises nothing."""
        for part, visit_id in list(self._entered.items()):
            if not self._views.is_open(visit_id):
                self._clear(part)

    def is_elsewhere_too(self, visit_id: str | None) -> bool:
        """Tell whether the plate of this visit was read in another berth as well."""
        return visit_id is not None and self._same_plates.concerns(visit_id)

    def withdraw_since_good(self, job: CaptureJob, judgement: Judgement, seen: Stamp) -> None:
        """Withdraw what was read since the last good picture of a view that turned out bad at `seen`."""
        concerned = self._views.concerned(job.berth, judgement)
        for visit in self._store.open_visits():
            if visit.berth_no in concerned and _is_since(visit, judgement.good_until_s, seen):
                self._withdraw(visit, seen)
                self._views.hold(self._look(visit.berth_no, visit.visit_id))

    def _withdraw(self, visit: Visit, seen: Stamp) -> None:
        """Commit that the visit's reading decides nothing since the picture at `seen`. Raises StoreError."""
        stored = visit.reading
        if stored is None or stored.reading is None or not stored.reading.accepted:
            return
        log.warning("reading withdrawn", berth_no=visit.berth_no, visit_id=visit.visit_id)
        withdrawn = NewReading(
            visit_id=visit.visit_id,
            berth_no=visit.berth_no,
            stamp=self._clock.now(),
            reading=replace(stored.reading, accepted=False),
            captured=seen,
            model_version=stored.model_version,
            evidence_jpeg=None,
        )
        self._store.withdraw(withdrawn, stored.evidence_sha256)

    def _clear(self, part: str) -> None:
        self._entered.pop(part, None)
        self._health.clear(part)

    def _stood_elsewhere(self, berth_no: str, plate: str, captured: Stamp) -> bool:
        """Tell whether this plate left another berth of the pole within the last minute."""
        return any(
            visit.berth_no != berth_no
            and visit.left is not None
            and visit.left.boot_id == captured.boot_id
            and captured.monotonic_s - visit.left.monotonic_s < _LATELY_S
            and _open_plate(visit).plate == plate
            for visit in self._store.visits(limit=_LATEST_VISITS)
        )

    def _look_again(self, berth_no: str, visit_id: str) -> None:
        if berth_no not in self._views.berths:
            return  # a berth that was taken away: its visit is about to be closed
        job = self._look(berth_no, visit_id)
        self._captures[job.berth.camera].put(job)

    def _look(self, berth_no: str, visit_id: str) -> CaptureJob:
        berth: BerthSettings = self._views.berths[berth_no]
        return CaptureJob(berth=berth, visit_id=visit_id, reason=Reason.LOOK_AGAIN, asked_s=time.monotonic())


def _open_plate(visit: Visit) -> OpenPlate:
    reading = visit.reading.reading if visit.reading else None
    return OpenPlate(
        visit_id=visit.visit_id,
        berth_no=visit.berth_no,
        plate=reading.text if reading else "",
        accepted=reading is not None and reading.accepted,
    )


def _is_since(visit: Visit, good_until_s: float | None, seen: Stamp) -> bool:
    """Tell whether the visit's reading is of this boot and later than the view's last good picture."""
    if visit.reading is None or visit.reading.captured.boot_id != seen.boot_id:
        return False
    return good_until_s is None or visit.reading.captured.monotonic_s > good_until_s
