"""One worker per camera: takes bursts of berths, one after the other, the most urgent first."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

import structlog

from edged import metrics
from edged.camera import Camera, CameraError, CameraFault, Frame
from edged.domain.health import HealthStatus
from edged.settings import BerthSettings, CameraSettings
from edged.wire import ReadingView
from edged.workers.health_book import HealthBook

log = structlog.get_logger()

_QUEUE_LENGTH = 64
_IDLE_S = 1.0
# A plate that could not be read (still moving, glare, somebody in the way), or a camera that did not
# answer, gets better chances soon, then rarely, as long as the vehicle stands there.
RETRY_AFTER_S = (3.0, 10.0, 30.0, 120.0, 600.0, 1800.0)


class Reason(IntEnum):
    """Why a burst is wanted; the smaller goes first."""

    REQUEST = 0  # somebody waits for the answer
    ARRIVAL = 1
    LOOK_AGAIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """What a burst showed: the reading of its pictures, or `error`, why there is none."""

    visit_id: str | None = None
    reading: ReadingView | None = None
    evidence_sha256: str | None = None
    captured_at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureJob:
    """A burst wanted of one berth, since `asked_s` (monotonic).

    `answer`, if any, is called exactly once, from a worker's thread.
    """

    berth: BerthSettings
    visit_id: str | None
    reason: Reason
    asked_s: float
    attempt: int = 0
    answer: Callable[[Captured], None] | None = None

    def fail(self, error: str) -> None:
        if self.answer is not None:
            self.answer(Captured(error=error))

    def next_attempt(self) -> "CaptureJob":
        return replace(self, attempt=self.attempt + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    due_s: float
    job: CaptureJob

    @property
    def urgency(self) -> tuple[Reason, float]:
        return self.job.reason, self.due_s


class CaptureWorker:
    """Owns one camera. `deliver` takes the frames on to be read; it may block, bounded."""

    def __init__(
        self,
        settings: CameraSettings,
        camera: Camera,
        deliver: Callable[[CaptureJob, tuple[Frame, ...]], None],
        still_there: Callable[[str], bool],
        health: HealthBook,
        retry_after_s: Sequence[float] = RETRY_AFTER_S,
    ) -> None:
        self.name = f"camera {settings.name}"
        # The longest burst: every frame late, a moved preset, and a slow reader behind it.
        self.deadline_s = 60 + settings.burst_frames * (settings.timeout_s + settings.min_interval_s) * 2
        self.last_progress_s = time.monotonic()
        self._settings = settings
        self._camera = camera
        self._deliver = deliver
        self._still_there = still_there
        self._health = health
        self._retry_after_s = retry_after_s
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []

    def submit(self, job: CaptureJob, after_s: float = 0.0) -> None:
        """Queue a job, to be done `after_s` from now; a full queue answers it with an error and counts it."""
        with self._changed:
            if full := len(self._waiting) >= _QUEUE_LENGTH:
                metrics.DROPS.labels(self.name).inc()
            else:
                due_s = time.monotonic() + after_s
                self._waiting.append(_Waiting(due_s=due_s, job=job))
                self._changed.notify()
        if full:
            log.warning("capture dropped", camera=self._settings.name, berth_no=job.berth.berth_no)
            job.fail("the camera's queue is full")

    def retry(self, job: CaptureJob) -> None:
        """Queue the job's next attempt, later each time."""
        delay_s = self._retry_after_s[min(job.attempt, len(self._retry_after_s) - 1)]
        self.submit(job.next_attempt(), delay_s)

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.last_progress_s = time.monotonic()
            job = self._next_due()
            if job is not None and self._is_wanted(job):
                self._capture(job)
        for waiting in self._waiting:
            waiting.job.fail("the daemon is stopping")
        self._camera.close()

    def _next_due(self) -> CaptureJob | None:
        """Return the most urgent job that is due, or None after a short wait."""
        with self._changed:
            now_s = time.monotonic()
            due = [waiting for waiting in self._waiting if waiting.due_s <= now_s]
            if due:
                chosen = min(due, key=lambda waiting: waiting.urgency)
                self._waiting.remove(chosen)
                return chosen.job
            next_due_s = min((waiting.due_s for waiting in self._waiting), default=now_s + _IDLE_S)
            self._changed.wait(min(next_due_s - now_s, _IDLE_S))
        return None

    def _is_wanted(self, job: CaptureJob) -> bool:
        """A vehicle that left meanwhile needs no picture; somebody who asked gets one of the empty berth."""
        return job.reason is Reason.REQUEST or (job.visit_id is not None and self._still_there(job.visit_id))

    def _capture(self, job: CaptureJob) -> None:
        try:
            frames = self._camera.burst(self._settings.burst_frames, job.berth.preset)
        except CameraError as error:
            self._failed(job, error)
        else:
            self._health.clear(self.name)
            self._deliver(job, frames)

    def _failed(self, job: CaptureJob, error: CameraError) -> None:
        if error.fault is CameraFault.STOPPED:
            job.fail("the daemon is stopping")
            return
        metrics.CAPTURE_ERRORS.labels(self._settings.name, error.fault.value).inc()
        self._health.report(self.name, HealthStatus.DEGRADED, error.trouble.cause, error.trouble.remedy)
        job.fail(f"no picture: {error.trouble.cause}")
        if job.reason is not Reason.REQUEST:
            self.retry(job)
