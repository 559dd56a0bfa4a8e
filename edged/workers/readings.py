"""From a burst to the first plate 第一车牌: read, fused, weighed against what was read before, committed."""

import threading
import time
from collections.abc import Mapping
from dataclasses import replace

import structlog

from edged.box import metrics
from edged.box.clock import Clock
from edged.camera import Frame
from edged.domain.health import Finding, HealthStatus
from edged.domain.masking import mask
from edged.domain.reading import PlateRead, PlateReading, fuse_burst
from edged.domain.second_look import Look, look
from edged.domain.timekeeping import Stamp
from edged.picture import PictureError
from edged.settings import SiteSettings
from edged.store import NewReading, Store, StoreError
from edged.view import Judgement, trouble_of
from edged.vision.errors import BadFrame, VisionError
from edged.vision.pipeline import PlateVision
from edged.wire import ReadingView
from edged.workers.claims import PlateClaims
from edged.workers.evidence import EvidencePictures
from edged.workers.health_book import HealthBook
from edged.workers.queues import (
    BerthNews,
    Burst,
    BurstQueue,
    Captured,
    CaptureJob,
    CaptureQueue,
    Reason,
    Swap,
)
from edged.workers.reading_rates import ReadingRates
from edged.workers.recording import DISK_DEADLINE_S
from edged.workers.views import ViewBook, withholds

log = structlog.get_logger()

_POLYGON_REMEDY = "compare it with the picture size that `edged diag` shows"
_CUT_OFF = "the plate stands at the picture's edge, so that a character may be missing: it is not accepted"
_CUT_OFF_REMEDY = "turn the camera or correct its preset, so that plates in this berth have room on all sides"


class ReadingWorker:
    """The only worker that runs the models. The job of a plate that is not read yet goes back to its camera.

    `vision` None: the models cannot be used (health says why); arrivals keep their pictures all the same.
    `views` None: no camera is judged.
    """

    name = "vision"
    deadline_s = DISK_DEADLINE_S

    def __init__(
        self,
        site: SiteSettings,
        vision: PlateVision | None,
        store: Store,
        clock: Clock,
        health: HealthBook,
        bursts: BurstQueue,
        captures: Mapping[str, CaptureQueue],
        news: BerthNews,
        views: ViewBook | None = None,
    ) -> None:
        self.last_progress_s = time.monotonic()
        self._pictures = EvidencePictures(site)
        self._vision = vision
        self._store = store
        self._clock = clock
        self._health = health
        self._bursts = bursts
        self._captures = captures
        self._news = news
        self._views = views
        self._rates = ReadingRates(views.berths.values(), store, clock, health) if views else None
        self.judged = 0  # pictures, since the start
        self._claims = PlateClaims(store, clock, health, captures, views) if views else None

    def run(self, stop: threading.Event) -> None:
        self._test_models()
        while not stop.is_set():
            self.last_progress_s = time.monotonic()
            if self._rates is not None:
                self._rates.look()
            if self._views is not None and self._claims is not None:
                self._views.look_after_held()
                self._claims.clear_ended()
            burst = self._bursts.get()
            if burst is not None and not burst.job.drop_if_unawaited():
                self._read(burst)
        self._bursts.fail_all("the daemon is stopping")

    def _test_models(self) -> None:
        """Let the models read plates whose texts are known; those that misread are not used."""
        if self._vision is None:
            return
        try:
            self._vision.self_test()
        except VisionError as error:
            self._health.enter(Finding.of("model", HealthStatus.FAILED, error.trouble))
            self._vision = None
            return
        log.info("models ready", version=self._vision.manifest.version, runtime=self._vision.runtime)
        if fallback := self._vision.fallback:
            self._health.enter(Finding.of("model", HealthStatus.DEGRADED, fallback))

    def _read(self, burst: Burst) -> None:
        job, frames = burst.job, burst.frames
        judgement = self._judged(job, frames[-1])
        self.judged += 1
        if withholds(judgement):
            self._withdraw(job, judgement, frames[-1])
        if job.reason is Reason.VIEW:
            return
        if not judgement.may_decide:
            self._wait_for_view(job, judgement)
            return
        if judgement.looks_empty and self._is_read_elsewhere(job):
            # the sensor still reports a vehicle, so a new visit begins: it stays unread
            seen_s = frames[-1].taken_monotonic_s
            self._news.put(Swap(berth_no=job.berth.berth_no, visit_id=job.visit_id or "", at_s=seen_s))
            job.fail("the berth is empty; its visit ends")
            return
        plates = self._plates(job, frames)
        captured = self._clock.at(frames[-1].taken_monotonic_s)
        new = self._new_reading(job, _the_one_of(plates), captured)
        metrics.READINGS.labels(_outcome(new.reading)).inc()
        if job.visit_id is None:
            self._answer(job, new, None)  # an empty berth: asked for, answered, not kept
            return
        new = replace(new, evidence_jpeg=self._pictures.of(job.berth, frames[-1], plates, captured))
        try:
            self._weigh(job, new)
        except StoreError as error:
            self._health.report(
                "readings", HealthStatus.DEGRADED, f"not stored: {error.trouble.what}", error.trouble.remedy
            )
            self._again(job)
        else:
            self._health.clear("readings")

    def _judged(self, job: CaptureJob, frame: Frame) -> Judgement:
        """Return what the picture says of its camera; nothing when it cannot be decoded: see `_plates`."""
        try:
            return self._views.judge(job, frame) if self._views else Judgement()
        except PictureError:
            return Judgement()

    def _plates(self, job: CaptureJob, frames: tuple[Frame, ...]) -> list[PlateRead]:
        """Return the plates in the berth, fused over the burst, the surest first."""
        if self._vision is None:
            return []
        component = f"polygon of berth {job.berth.berth_no}"
        try:
            # one decoded frame at a time
            seen = [self._vision.read_frame(frame.decode(), job.berth.polygon) for frame in frames]
        except PictureError as error:
            camera = f"picture of camera {job.berth.camera}"
            remedy = "let the camera send plain (baseline) JPEG"
            self._health.report(camera, HealthStatus.DEGRADED, str(error), remedy)
            return []
        except BadFrame as error:
            self._health.report(component, HealthStatus.DEGRADED, str(error), _POLYGON_REMEDY)
            return []
        self._health.clear(component)
        self._health.clear(f"picture of camera {job.berth.camera}")
        spec = self._vision.manifest.reader
        plates = fuse_burst(seen, labels=spec.labels, accept_from=spec.accept_from)
        self._report_view(job, plates)
        return plates

    def _report_view(self, job: CaptureJob, plates: list[PlateRead]) -> None:
        """Report to health whether the plates in a berth have room in its picture."""
        component = f"view of berth {job.berth.berth_no}"
        if plates and plates[0].cut_off:
            self._health.report(component, HealthStatus.DEGRADED, _CUT_OFF, _CUT_OFF_REMEDY)
        elif plates:
            self._health.clear(component)

    def _weigh(self, job: CaptureJob, new: NewReading) -> None:
        """Commit what the burst adds to the visit's reading. Raises StoreError."""
        known = self._store.latest_reading(new.visit_id)
        known_reading, reading = known.reading if known else None, new.reading
        means = look(known_reading, reading)
        log.info(
            "reading",
            berth_no=new.berth_no,
            visit_id=new.visit_id,
            plate=mask(_text_of(reading)),
            confidence=round(reading.confidence, 3) if reading else 0.0,
            accepted=_is_accepted(reading),
            means=means.value,
            asked_to_read_s=round(time.monotonic() - job.asked_s, 3),
        )
        if self._claims is not None:
            self._claims.looked(new)
        if means is Look.ANOTHER_CAR:
            seen_s = new.captured.monotonic_s
            self._news.put(Swap(berth_no=new.berth_no, visit_id=new.visit_id, at_s=seen_s))
            job.fail("another vehicle stands there now; its visit begins")
            return
        if means is Look.CONTRADICTS or (
            _is_accepted(reading) and not self._may_decide(job, new, known_reading)
        ):
            new = _unaccepted(new)
            means = Look.CONTRADICTS
        sha256 = known.evidence_sha256 if known else None
        if means in (Look.REPLACES, Look.CONTRADICTS):
            sha256 = self._store.commit_reading(new)
            if known is None:
                metrics.DRIVE_IN_TO_READING.observe(time.monotonic() - job.asked_s)
        self._answer(job, new, sha256)
        is_doubtful = not _is_accepted(new.reading) and not _is_accepted(known_reading)
        if is_doubtful and job.reason is not Reason.REQUEST:  # a request has its answer already
            self._captures[job.berth.camera].put_again(job)

    def _may_decide(self, job: CaptureJob, new: NewReading, known: PlateReading | None) -> bool:
        if self._claims is None:
            return True
        is_known = _is_accepted(known) and known is not None and known.text == _text_of(new.reading)
        return self._claims.is_alone(job, new, is_known=is_known)

    def _is_read_elsewhere(self, job: CaptureJob) -> bool:
        return self._claims is not None and self._claims.is_elsewhere_too(job.visit_id)

    def _wait_for_view(self, job: CaptureJob, judgement: Judgement) -> None:
        """Read the berth again once its view is good."""
        if job.reason is Reason.REQUEST:
            what = (
                trouble_of(judgement.doubts[0], "").cause if judgement.doubts else "the picture is an old one"
            )
            job.fail(f"the picture cannot be trusted: {what}")
        elif self._views is not None and withholds(judgement):
            self._views.hold(job)
        else:
            self._captures[job.berth.camera].put_again(job)

    def _withdraw(self, job: CaptureJob, judgement: Judgement, frame: Frame) -> None:
        """Take the acceptance of readings made since the last good picture of a view that turned out bad."""
        assert self._claims is not None
        try:
            self._claims.withdraw_since_good(job, judgement, self._clock.at(frame.taken_monotonic_s))
        except StoreError as error:  # the next picture of that view tries again
            self._health.enter(Finding.of("readings", HealthStatus.DEGRADED, error.trouble))
        else:
            self._health.clear("readings")

    def _again(self, job: CaptureJob) -> None:
        if job.reason is Reason.REQUEST:
            job.fail("the reading could not be stored")
        else:
            self._captures[job.berth.camera].put_again(job)

    def _answer(self, job: CaptureJob, new: NewReading, sha256: str | None) -> None:
        if job.answer is None:
            return
        job.answer(
            Captured(
                visit_id=job.visit_id,
                reading=ReadingView.of(new.reading),
                evidence_sha256=sha256,
                captured_at=new.captured.utc,
            )
        )

    def _new_reading(self, job: CaptureJob, reading: PlateReading | None, captured: Stamp) -> NewReading:
        return NewReading(
            visit_id=job.visit_id or "",
            berth_no=job.berth.berth_no,
            stamp=self._clock.now(),
            reading=reading,
            captured=captured,
            model_version=self._vision.manifest.version if self._vision else "none",
            evidence_jpeg=None,
        )


def _the_one_of(plates: list[PlateRead]) -> PlateReading | None:
    """Return the berth's plate. Two reliable plates in one berth are a straddling car: neither may decide."""
    if not plates:
        return None
    reading = plates[0].reading
    if sum(plate.reading.accepted for plate in plates) > 1:
        return replace(reading, accepted=False)
    return reading


def _unaccepted(new: NewReading) -> NewReading:
    return replace(new, reading=replace(new.reading, accepted=False)) if new.reading else new


def _is_accepted(reading: PlateReading | None) -> bool:
    return reading is not None and reading.accepted


def _text_of(reading: PlateReading | None) -> str:
    return reading.text if reading else ""


def _outcome(reading: PlateReading | None) -> str:
    if reading is None:
        return "no_plate"
    return "accepted" if reading.accepted else "doubtful"
