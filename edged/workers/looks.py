"""Fresh looks at berths: one at a time for a berth, shared by all requests for it."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future

from edged.settings import BerthSettings
from edged.workers.queues import Captured, CaptureJob, CaptureQueue, Reason


class Look:
    """A look at a berth that is asked for and not answered yet."""

    def __init__(self, visit_id: str | None) -> None:
        self.visit_id = visit_id
        self.answered: Future[Captured] = Future()
        self._awaited_until_s = 0.0

    def join(self, until_s: float) -> None:
        """Note that the answer is awaited until `until_s` (monotonic)."""
        self._awaited_until_s = max(self._awaited_until_s, until_s)

    def is_awaited(self) -> bool:
        return time.monotonic() < self._awaited_until_s


class Looks:
    """Hands out the looks. Thread-safe."""

    def __init__(self, captures: Mapping[str, CaptureQueue]) -> None:
        self._captures = captures
        self._lock = threading.Lock()
        self._open: dict[str, Look] = {}  # by berth number

    def ask(self, berth: BerthSettings, visit_id: str | None, until_s: float) -> Future[Captured]:
        """Return the answer of a look at the berth, awaited until `until_s` (monotonic).

        A look that is under way is shared, unless another visit has begun since it was asked for.
        """
        with self._lock:
            look = self._open.get(berth.berth_no)
            is_new = look is None or look.visit_id != visit_id
            if look is None or is_new:
                look = self._open[berth.berth_no] = Look(visit_id)
            look.join(until_s)
        if is_new:
            self._captures[berth.camera].put(self._job(berth, look))
        return look.answered

    def _job(self, berth: BerthSettings, look: Look) -> CaptureJob:
        def answer(captured: Captured) -> None:
            with self._lock:
                if self._open.get(berth.berth_no) is look:
                    del self._open[berth.berth_no]
            if not look.answered.done():
                look.answered.set_result(captured)

        return CaptureJob(
            berth=berth,
            visit_id=look.visit_id,
            reason=Reason.REQUEST,
            asked_s=time.monotonic(),
            answer=answer,
            is_awaited=look.is_awaited,
        )
