"""The loop that claims what is due and starts it. Several processes may run it on one database.

An exception in one piece of work never ends it: it is counted and logged, and the work is due again.
"""

import logging
import threading
import time
from collections.abc import Sequence
from queue import SimpleQueue

from cloud_endpoint.base.failures import contained
from cloud_endpoint.clockwork.duties import DUTIES, TICK_S
from cloud_endpoint.clockwork.duty import Claimed, Duty
from cloud_endpoint.clockwork.slots import Slots
from cloud_endpoint.database.service import Service

log = logging.getLogger(__name__)

PAUSE_S = 0.02  # what is asked for meanwhile is done in the same round
REST_S = 1.0  # after a claim that failed
STOP_S = 15.0  # of the 40 s that systemd waits (TimeoutStopSec); requests have had GRACE_S before
LATE_S = 60.0  # a turn waits up to 30 s for a connection


class _Runner:
    """A duty in this process: its slots, its threads, and when it is claimed next."""

    def __init__(self, service: Service, duty: Duty) -> None:
        self._service = service
        self._duty = duty
        self._slots = Slots(duty.slots, duty.slots_per_peer)
        self._claimed: SimpleQueue[Claimed | None] = SimpleQueue()  # never more than there are slots
        self._threads = 0
        self.next_s = 0.0

    def turn(self) -> None:
        """Claim what is due, if it is time to, and start it."""
        if time.monotonic() < self.next_s:
            return
        self.next_s = time.monotonic() + REST_S  # unless the claim succeeds
        with contained(self._duty.name, "the claim"):
            for work in self._duty.claim(self._service, self._slots):
                self._claimed.put(work)
            self.next_s = time.monotonic() + self._duty.every_s
        while self._threads < self._duty.slots - self._slots.free:
            # A daemon: a database that went away without a word has no deadline, and must not keep the
            # process from ending. The work is leased, and due again in the next process.
            threading.Thread(target=self._run, name=self._duty.name, daemon=True).start()
            self._threads += 1

    def stop(self, timeout_s: float) -> int:
        """Wait for the work under way; returns how many pieces are left."""
        for _ in range(self._threads):
            self._claimed.put(None)
        return self._slots.drain(timeout_s)

    def _run(self) -> None:
        while (work := self._claimed.get()) is not None:
            with contained(self._duty.name, f"work at {work.peer or 'the database'}"):
                self._duty.act(self._service, work.row)
            self._slots.give_back(work.peer)
            self._service.wake.set()


class Clockwork:
    """Runs in a thread of its own from `start` to `stop`."""

    def __init__(self, service: Service, duties: Sequence[Duty] = DUTIES) -> None:
        self._service = service
        self._stop = threading.Event()
        self._runners = [_Runner(service, duty) for duty in duties]
        self._thread = threading.Thread(target=self._run, name="clockwork", daemon=True)
        self._turned_s = time.monotonic()

    def start(self) -> None:
        """Begin."""
        self._turned_s = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Claim nothing more and wait for the work under way, at most `STOP_S` in all."""
        until_s = time.monotonic() + STOP_S
        self._stop.set()
        self._service.wake.set()
        self._thread.join(STOP_S)
        left = sum(runner.stop(max(0.0, until_s - time.monotonic())) for runner in self._runners)
        if left:
            log.warning("stopped with %s pieces of work under way; they are due again by themselves", left)

    @property
    def turns(self) -> bool:
        """Whether the loop turns."""
        return self._thread.is_alive() and time.monotonic() - self._turned_s < LATE_S

    def _run(self) -> None:
        while not self._stop.is_set():
            self._service.wake.clear()
            for runner in self._runners:
                runner.turn()
            now_s = self._turned_s = time.monotonic()
            later_s = [runner.next_s - now_s for runner in self._runners if runner.next_s > now_s]
            self._service.wake.wait(min([TICK_S, *later_s]))
            self._stop.wait(PAUSE_S)
