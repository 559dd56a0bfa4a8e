"""One worker per camera: takes bursts of berths, one after the other, the most urgent first."""

import threading
import time
from collections.abc import Sequence

import structlog

from edged.box import metrics
from edged.camera import Camera, CameraError, CameraFault
from edged.domain.health import HealthStatus
from edged.settings import BerthSettings, CameraSettings
from edged.workers.board import Board
from edged.workers.health_book import HealthBook
from edged.workers.queues import Burst, BurstQueue, CaptureJob, CaptureQueue, Reason

log = structlog.get_logger()

_IDLE_S = 1.0
VIEW_EVERY_S = 30 * 60.0


class CaptureWorker:
    """Owns one camera: from its queue of jobs to the bursts that wait to be read.

    `berths`: those whose view is judged, and of which a picture is taken while they are vacant.
    """

    def __init__(
        self,
        settings: CameraSettings,
        camera: Camera,
        jobs: CaptureQueue,
        bursts: BurstQueue,
        board: Board,
        health: HealthBook,
        berths: Sequence[BerthSettings] = (),
    ) -> None:
        self.name = f"camera {settings.name}"
        # The longest burst: every frame late, a moved preset, and a slow reader behind it.
        self.deadline_s = 60 + settings.burst_frames * (settings.timeout_s + settings.min_interval_s) * 2
        self.last_progress_s = time.monotonic()
        self._settings = settings
        self._camera = camera
        self._jobs = jobs
        self._bursts = bursts
        self._board = board
        self._health = health
        self._last_view_s = {berth.berth_no: -VIEW_EVERY_S for berth in berths}
        self._berths = tuple(berths)

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.last_progress_s = time.monotonic()
            self._look_at_vacant_berths()
            job = self._jobs.get(_IDLE_S)
            if job is not None and self._is_wanted(job):
                self._capture(job, stop)
        self._jobs.close("the daemon is stopping")
        self._camera.close()

    def _look_at_vacant_berths(self) -> None:
        """Have a picture of a berth after each drive-out and now and then: to compare the next one with."""
        now_s = time.monotonic()
        for berth in self._berths:
            status = self._board.get(berth.berth_no)
            if status is not None and status.visit_id is not None:
                self._last_view_s[berth.berth_no] = -VIEW_EVERY_S  # due at once when the vehicle leaves
            is_due = now_s - self._last_view_s[berth.berth_no] >= VIEW_EVERY_S
            if is_due and self._board.is_empty(berth.berth_no):
                self._last_view_s[berth.berth_no] = now_s
                self._jobs.put(CaptureJob.view_of(berth))

    def _progress(self) -> None:
        self.last_progress_s = time.monotonic()

    def _is_wanted(self, job: CaptureJob) -> bool:
        """A vehicle that left meanwhile needs no picture; a request gets one of the empty berth."""
        if job.reason in (Reason.REQUEST, Reason.VIEW):
            return not job.drop_if_unawaited()
        return job.visit_id is not None and self._board.has_visit(job.visit_id)

    def _capture(self, job: CaptureJob, stop: threading.Event) -> None:
        count = 1 if job.reason is Reason.VIEW else self._settings.burst_frames
        try:
            frames = self._camera.burst(count, job.berth.preset)
        except CameraError as error:
            self._failed(job, error)
        else:
            self._health.clear(self.name)
            self._bursts.put(Burst(job=job, frames=frames), stop, self._progress)

    def _failed(self, job: CaptureJob, error: CameraError) -> None:
        if error.fault is CameraFault.STOPPED:
            job.fail("the daemon is stopping")
            return
        metrics.CAPTURE_ERRORS.labels(self._settings.name, error.fault.value).inc()
        trouble = error.trouble
        self._health.report(self.name, HealthStatus.DEGRADED, trouble.cause, trouble.remedy)
        job.fail(f"no picture: {trouble.cause}")
        if job.reason is not Reason.REQUEST:
            self._jobs.put_soon(job)
        elif self._berths:  # the request is answered; another picture tells health when the camera is back
            self._jobs.put_soon(CaptureJob.view_of(job.berth))
