"""Runs the workers: start in order, watch their progress, feed the watchdog, stop within a bound.

A worker that raises, returns early or makes no progress within its deadline takes the process down with
a non-zero status, and systemd starts it again: a half-dead daemon helps nobody.
"""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from edged.systemd_notify import SystemdNotifier

log = structlog.get_logger()

_LOOK_INTERVAL_S = 0.5


class Worker(Protocol):
    """One blocking loop in a thread of its own.

    `last_progress_s` is monotonic and moves at least every `deadline_s` while the worker is sound.
    """

    @property
    def name(self) -> str: ...
    @property
    def deadline_s(self) -> float: ...
    @property
    def last_progress_s(self) -> float: ...
    def run(self, stop: threading.Event) -> None: ...


class Supervisor:
    """Owns the workers' threads between `run` and its return.

    `workers` stand from sources to sinks: they stop in this order and start in the other, so that nothing is
    asked of a worker that is not there.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        notifier: SystemdNotifier,
        status_line: Callable[[], str],
        stop_within_s: float = 12.0,  # below the unit's TimeoutStopSec
    ) -> None:
        self._workers = workers
        self._notifier = notifier
        self._status_line = status_line
        self._stop_within_s = stop_within_s
        self._wake = threading.Event()  # set when a worker has ended
        self._failures: list[tuple[str, BaseException | None]] = []

    def run(self, stop: threading.Event) -> int:
        """Run until `stop` is set or a worker fails; return the exit status."""
        threads = [
            threading.Thread(target=self._guarded, args=(worker, stop), name=worker.name)
            for worker in self._workers
        ]
        started_s = time.monotonic()
        for thread in reversed(threads):
            thread.start()
        self._notifier.ready()
        failed = self._watch(stop, started_s)
        self._notifier.stopping()
        stop.set()
        hung = self._join(threads)
        if hung:
            log.error("workers did not stop", workers=hung, within_s=self._stop_within_s)
            faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
            sys.stderr.flush()
            os._exit(1)  # threads in native code cannot be ended otherwise
        return 1 if failed else 0

    def _guarded(self, worker: Worker, stop: threading.Event) -> None:
        try:
            worker.run(stop)
        except Exception as error:  # noqa: BLE001  # the one place where any failure ends the process
            self._failures.append((worker.name, error))
        else:
            if not stop.is_set():
                self._failures.append((worker.name, None))
        self._wake.set()

    def _watch(self, stop: threading.Event, started_s: float) -> bool:
        """Return True as soon as something failed, False when told to stop."""
        while not stop.is_set():
            if self._failures:
                for name, error in self._failures:
                    log.error("worker failed", worker=name, error=repr(error), exc_info=error)
                return True
            late = self._late(started_s)
            if late:
                log.error("no progress", workers=late)
                faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
                return True
            self._notifier.alive()
            self._notifier.status(self._status_line())
            self._wake.wait(_LOOK_INTERVAL_S)
        return False

    def _late(self, started_s: float) -> list[str]:
        now_s = time.monotonic()
        return [
            worker.name
            for worker in self._workers
            if now_s - max(worker.last_progress_s, started_s) > worker.deadline_s
        ]

    def _join(self, threads: Sequence[threading.Thread]) -> list[str]:
        """Wait for the threads in stop order, sources before sinks; return the names of those that hang."""
        end_s = time.monotonic() + self._stop_within_s
        for thread in threads:
            thread.join(max(0.0, end_s - time.monotonic()))
        return [thread.name for thread in threads if thread.is_alive()]
