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
# Two bursts of five frames of 8 megapixels; the main process has 220 MiB in all (docs/decisions/0095).
_MOST_BURST_BYTES = 8 * 1024 * 1024
_TICK_S = 0.5
# A plate that could not be read (still moving, glare, a person in the way), or a camera that did not
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

    ARRIVAL = 0  # a car without a plate; a request can be made again
    REQUEST = 1  # the answer is awaited
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

    `answer`, if any, is called exactly once, from a worker's thread. `is_awaited` tells whether the
    answer is still awaited.
    """

    berth: BerthSettings
    visit_id: str | None
    reason: Reason
    asked_s: float
    attempt: int = 0
    answer: Callable[[Captured], None] | None = None
    is_awaited: Callable[[], bool] = lambda: True

    @classmethod
    def view_of(cls, berth: BerthSettings) -> "CaptureJob":
        """Return the job of one picture, to judge the camera by; it has no answer and is not read."""
        return cls(berth=berth, visit_id=None, reason=Reason.VIEW, asked_s=time.monotonic())

    def fail(self, error: str) -> None:
        if self.answer is not None:
            self.answer(Captured(error=error))

    def wants_the_same(self, other: "CaptureJob") -> bool:
        """Tell whether one burst serves both jobs: of one berth and visit, without an answer."""
        return (
            self.answer is None
            and other.answer is None
            and (self.berth.berth_no, self.visit_id) == (other.berth.berth_no, other.visit_id)
        )

    def drop_if_unawaited(self) -> bool:
        """Drop the job and count it when its answer is not awaited any more; return whether it is dropped."""
        if self.is_awaited():
            return False
        metrics.DROPS.labels("unawaited").inc()
        log.info("look dropped: its answer is not awaited any more", berth_no=self.berth.berth_no)
        self.fail("its answer was not awaited any more")
        return True


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
        self._closed_because: str | None = None

    def put(self, job: CaptureJob, after_s: float = 0.0) -> None:
        """Add a job, due `after_s` from now; a full queue answers it with an error and counts it.

        Jobs of one visit, or of one view, that need no answer are one job: a camera that is away for days
        does not fill its queue, and an arrival finds room.
        """
        with self._changed:
            refusal = self._closed_because
            entry = _Waiting(due_s=time.monotonic() + after_s, job=job)
            if refusal is None:
                entry = self._merged(entry)
                if len(self._waiting) >= _MOST_CAPTURES:
                    refusal = "the camera's queue is full"
                    metrics.DROPS.labels(f"camera {self._camera}").inc()
                    log.warning("capture dropped", camera=self._camera, berth_no=job.berth.berth_no)
            if refusal is None:
                self._waiting.append(entry)
                self._changed.notify()
        if refusal is not None:
            job.fail(refusal)

    def _merged(self, fresh: _Waiting) -> _Waiting:
        """Take the job that waits for the same out of the line; return both as one, due as the earlier."""
        same = next((entry for entry in self._waiting if entry.job.wants_the_same(fresh.job)), None)
        if same is None:
            return fresh
        self._waiting.remove(same)
        first = min(same, fresh, key=lambda entry: entry.job.reason)
        attempt = min(same.job.attempt, fresh.job.attempt)
        return _Waiting(due_s=min(same.due_s, fresh.due_s), job=replace(first.job, attempt=attempt))

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

    def close(self, error: str) -> None:
        """Answer all jobs that wait, and all that come, with `error`."""
        with self._changed:
            self._closed_because = error
            waiting, self._waiting = self._waiting, []
        for entry in waiting:
            entry.job.fail(error)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Burst:
    """The frames of one job, encoded as they came."""

    job: CaptureJob
    frames: tuple[Frame, ...]

    @property
    def size_bytes(self) -> int:
        return sum(len(frame.data) for frame in self.frames)


class BurstQueue:
    """The bursts that wait to be read, arrivals first, within a budget of bytes.

    They are encoded pictures; only the reader decodes them, one at a time.
    """

    def __init__(self, budget_bytes: int = _MOST_BURST_BYTES) -> None:
        self._budget_bytes = budget_bytes
        self._changed = threading.Condition()
        self._waiting: list[Burst] = []

    def put(self, burst: Burst, stop: threading.Event, on_wait: Callable[[], None] = lambda: None) -> None:
        """Add a burst as soon as there is room; its job fails when `stop` is set before.

        A burst beyond the whole budget is added when no other waits. `on_wait` is called twice a second.
        """
        with self._changed:
            while not stop.is_set():
                waiting_bytes = sum(each.size_bytes for each in self._waiting)
                if not self._waiting or waiting_bytes + burst.size_bytes <= self._budget_bytes:
                    self._waiting.append(burst)
                    self._changed.notify_all()
                    return
                on_wait()
                self._changed.wait(_TICK_S)
        burst.job.fail("the daemon is stopping")

    def get(self) -> Burst | None:
        """Return the next burst, None when none came within half a second."""
        with self._changed:
            if not self._waiting:
                self._changed.wait(_TICK_S)
            if not self._waiting:
                return None
            chosen = min(self._waiting, key=lambda burst: burst.job.reason)  # of equals the first that came
            self._waiting.remove(chosen)
            self._changed.notify_all()
            return chosen

    def fail_all(self, error: str) -> None:
        """Answer the jobs of all bursts that wait with `error`."""
        with self._changed:
            waiting, self._waiting = self._waiting, []
        for burst in waiting:
            burst.job.fail(error)
