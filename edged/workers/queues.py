"""What the workers pass on to each other: bounded queues, whose drops are counted.

buses, readings --BerthNews--> berths --InstructionQueue--> recording --CaptureQueue--> camera
--BurstQueue--> readings
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

import structlog

from edged.box import metrics
from edged.camera import Frame
from edged.settings import BerthSettings
from edged.wire import ReadingView
from firmware_bridge import Observation

log = structlog.get_logger()

_MOST_NEWS = 1024
_MOST_CAPTURES = 64
_MOST_BURSTS = 2  # five full frames are 30 MB
_TICK_S = 0.5
# A plate that could not be read (still moving, glare, somebody in the way), or a camera that did not
# answer, gets better chances soon, then rarely, as long as the vehicle stands there.
BACK_AFTER_S = 3.0  # a camera that comes back is noticed within 5 s
RETRY_AFTER_S = (3.0, 10.0, 30.0, 120.0, 600.0, 1800.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """A picture, taken at `at_s`, shows another vehicle in the berth than the one of `visit_id`, or none."""

    berth_no: str
    visit_id: str
    at_s: float


class BerthNews:
    """What sensors and pictures say about the berths, in the order in which it came."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Observation | Swap] = queue.Queue(_MOST_NEWS)

    def put(self, news: Observation | Swap) -> None:
        """Add news, from any thread; dropped and counted when the queue stays full for a second."""
        try:
            self._queue.put(news, timeout=1.0)
        except queue.Full:
            metrics.DROPS.labels("berths").inc()
            log.error("observation dropped", news=repr(news))

    def get(self, timeout_s: float) -> Observation | Swap | None:
        """Return the next news, None when none came in time."""
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None


class Reason(IntEnum):
    """Why a burst is wanted; the smaller goes first."""

    REQUEST = 0  # somebody waits for the answer
    ARRIVAL = 1
    LOOK_AGAIN = 2
    VIEW = 3  # one picture, to judge the camera by


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    due_s: float
    job: CaptureJob

    @property
    def urgency(self) -> tuple[Reason, float]:
        return self.job.reason, self.due_s


class CaptureQueue:
    """The jobs of one camera, the most urgent first; some are due later only."""

    def __init__(self, camera: str, retry_after_s: Sequence[float] = RETRY_AFTER_S) -> None:
        self._camera = camera
        self._retry_after_s = retry_after_s
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []

    def put(self, job: CaptureJob, after_s: float = 0.0) -> None:
        """Add a job, due `after_s` from now; a full queue answers it with an error and counts it."""
        with self._changed:
            if full := len(self._waiting) >= _MOST_CAPTURES:
                metrics.DROPS.labels(f"camera {self._camera}").inc()
            else:
                due_s = time.monotonic() + after_s
                self._waiting.append(_Waiting(due_s=due_s, job=job))
                self._changed.notify()
        if full:
            log.warning("capture dropped", camera=self._camera, berth_no=job.berth.berth_no)
            job.fail("the camera's queue is full")

    def put_soon(self, job: CaptureJob) -> None:
        """Add a job again whose camera did not answer: soon each time, for the camera may be back."""
        self.put(job, min(BACK_AFTER_S, *self._retry_after_s))

    def put_again(self, job: CaptureJob) -> None:
        """Add the job's next attempt, later each time."""
        delay_s = self._retry_after_s[min(job.attempt, len(self._retry_after_s) - 1)]
        self.put(replace(job, attempt=job.attempt + 1), delay_s)

    def get(self, timeout_s: float) -> CaptureJob | None:
        """Return the most urgent job that is due, None when none was: after `timeout_s`, or a change."""
        with self._changed:
            now_s = time.monotonic()
            due = [waiting for waiting in self._waiting if waiting.due_s <= now_s]
            if due:
                chosen = min(due, key=lambda waiting: waiting.urgency)
                self._waiting.remove(chosen)
                return chosen.job
            next_due_s = min((waiting.due_s for waiting in self._waiting), default=now_s + timeout_s)
            self._changed.wait(min(next_due_s - now_s, timeout_s))
        return None

    def fail_all(self, error: str) -> None:
        """Answer all jobs that wait with `error`."""
        with self._changed:
            waiting, self._waiting = self._waiting, []
        for entry in waiting:
            entry.job.fail(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """The frames of one job."""

    job: CaptureJob
    frames: tuple[Frame, ...]


class BurstQueue:
    """The bursts that wait to be read; a camera waits while two others are in line."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Burst] = queue.Queue(_MOST_BURSTS)

    def put(self, burst: Burst, stop: threading.Event) -> None:
        """Add a burst as soon as there is room; its job fails when `stop` is set before."""
        while not stop.is_set():
            try:
                self._queue.put(burst, timeout=_TICK_S)
            except queue.Full:
                continue
            return
        burst.job.fail("the daemon is stopping")

    def get(self) -> Burst | None:
        """Return the next burst, None when none came within half a second."""
        try:
            return self._queue.get(timeout=_TICK_S)
        except queue.Empty:
            return None
