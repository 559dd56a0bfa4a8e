"""Runs the workers: start in order, watch their progress, feed the watchdog, stop within a bound.

A worker that raises, returns early or makes no progress within its deadline takes the process down with
a non-zero status, and systemd starts it again: half a daemon would lose arrivals. So does any exception in
the supervisor itself.
"""

import faulthandler
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from edged.box import logs
from edged.supervisor.systemd import SystemdNotifier

log = structlog.get_logger()

_LOOK_INTERVAL_S = 0.5
# A look that comes later than this means that the whole process could not run (SIGSTOP, a suspended machine,
# a starved processor): its workers could not run either.
_LONGEST_LOOK_S = 2.0
# The log may hang with the disk that it is written to; the process must end all the same.
_LAST_LINES_WITHIN_S = 2.0


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
        """Run until `stop` is set or anything fails, also while stopping; return the exit status."""
        threads = [
            threading.Thread(target=self._guarded, args=(worker, stop), name=worker.name)
            for worker in self._workers
        ]
        try:
            for thread in reversed(threads):
                thread.start()
            self._notifier.ready()
            self._watch(stop)
            self._notifier.stopping()
        except Exception as error:  # noqa: BLE001  # half a supervisor would leave the workers alone
            self._failures.append(("supervisor", error))
        stop.set()
        hung = self._join([thread for thread in threads if thread.ident is not None])
        for name, failure in self._failures:
            log.error("worker failed", worker=name, error=repr(failure), exc_info=failure)
        if hung:
            log.error("workers did not stop", workers=hung, within_s=self._stop_within_s)
            log.error("what each thread does", traceback=_traceback_of_all_threads())
            logs.drain(within_s=_LAST_LINES_WITHIN_S)
            os._exit(1)  # threads in native code cannot be ended otherwise
        return 1 if self._failures else 0

    def _guarded(self, worker: Worker, stop: threading.Event) -> None:
        try:
            worker.run(stop)
        except BaseException as error:  # noqa: BLE001  # the one place where any failure ends the process
            self._failures.append((worker.name, error))
        else:
            if not stop.is_set():
                self._failures.append((worker.name, None))
        self._wake.set()

    def _watch(self, stop: threading.Event) -> None:
        """Return when told to stop, or as soon as something failed."""
        patience = Patience(self._workers, time.monotonic())
        while not stop.is_set() and not self._failures:
            late = patience.late(time.monotonic())
            if late:
                self._failures += [(name, TimeoutError("no progress")) for name in late]
                log.error("no progress", workers=late, traceback=_traceback_of_all_threads())
                return
            self._notifier.alive()
            self._notifier.status(self._status_line())
            self._wake.wait(_LOOK_INTERVAL_S)

    def _join(self, threads: Sequence[threading.Thread]) -> list[str]:
        """Wait for the threads in stop order, sources before sinks; return the names of those that hang."""
        end_s = time.monotonic() + self._stop_within_s
        for thread in threads:
            thread.join(max(0.0, end_s - time.monotonic()))
        return [thread.name for thread in threads if thread.is_alive()]


class Patience:
    """Finds the workers without progress; counts only the time in which this process could run."""

    def __init__(self, workers: Sequence[Worker], now_s: float) -> None:
        self._workers = workers
        self._looked_s = now_s
        self._ran_s = 0.0
        # Of each worker: its last progress, and `_ran_s` when that was seen.
        self._progress: list[tuple[float, float]] = [(worker.last_progress_s, 0.0) for worker in workers]

    def late(self, now_s: float) -> list[str]:
        """Return the names of the workers that had their whole deadline and made no progress."""
        self._ran_s += min(now_s - self._looked_s, _LONGEST_LOOK_S)
        self._looked_s = now_s
        names: list[str] = []
        for index, worker in enumerate(self._workers):
            progress_s = worker.last_progress_s
            known_s, since_s = self._progress[index]
            if progress_s != known_s:
                self._progress[index] = progress_s, self._ran_s
            elif self._ran_s - since_s > worker.deadline_s:
                names.append(worker.name)
        return names


def _traceback_of_all_threads() -> str:
    """Return what each thread does now. It goes through memory: standard error may hang."""
    with os.fdopen(os.memfd_create("traceback"), "w+", encoding="utf-8", errors="replace") as file:
        faulthandler.dump_traceback(file=file, all_threads=True)
        file.seek(0)
        return file.read()
