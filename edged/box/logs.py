"""Logs for the journal: one line an event, `key=value`, plates masked whoever wrote them."""

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import MutableMapping
from typing import Any

import structlog

from edged.domain.masking import mask_in

# sd-daemon(3): a line's level, where the journal reads our standard error
_JOURNAL_LEVELS = {"critical": "<2>", "error": "<3>", "warning": "<4>", "info": "<6>", "debug": "<7>"}

_MOST_LINES_WAITING = 10_000  # some minutes of a bad day; 2 MiB
_FLUSHED_WITHIN_S = 2.0


def configure(*, verbose: bool = False) -> None:
    """Send structlog and the standard library's logging to standard error, once, at start-up."""
    in_journal = "JOURNAL_STREAM" in os.environ
    level = logging.DEBUG if verbose else logging.INFO
    shared: list[Any] = [structlog.stdlib.add_log_level, structlog.processors.format_exc_info, _mask_plates]
    if not in_journal:  # the journal has its own clock
        shared.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    renderer = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _journal_line(renderer) if in_journal else renderer,
        ],
    )
    to_stderr = _BehindAQueue(sys.stderr.fileno())
    to_stderr.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [to_stderr]
    root.setLevel(level)
    for chatty in ("uvicorn.access", "urllib3", "pymodbus"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def drain(*, within_s: float) -> None:
    """Wait until what was logged is written, at most `within_s`."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _BehindAQueue):
            handler.drain(within_s=within_s)


class _BehindAQueue(logging.Handler):
    """Writes lines from a thread of its own, so that no thread of the daemon waits for the journal.

    The journal may stand on the disk that hangs. Its thread is the one daemon thread: a write(2) that hangs
    cannot be ended, and must not keep the process.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines: queue.Queue[str] = queue.Queue(_MOST_LINES_WAITING)
        self._lost = 0
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._lost += 1
        except Exception:  # noqa: BLE001  # a line that cannot be formatted must not stop its writer
            self.handleError(record)

    def flush(self) -> None:
        self.drain(within_s=_FLUSHED_WITHIN_S)  # called by logging.shutdown at exit

    def drain(self, *, within_s: float) -> None:
        end_s = time.monotonic() + within_s
        with self._lines.all_tasks_done:
            while self._lines.unfinished_tasks and (left_s := end_s - time.monotonic()) > 0:
                self._lines.all_tasks_done.wait(left_s)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            lost, self._lost = self._lost, 0
            if lost:
                line = f"{lost} log lines lost: the log could not be written\n{line}"
            try:
                _write_all(self._descriptor, f"{line}\n".encode(errors="replace"))
            except OSError:
                self._lost += 1  # standard error is not read, or its disk is full
            self._lines.task_done()


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _mask_plates(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = mask_in(value)
    return event


def _journal_line(renderer: Any) -> Any:
    def render(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        level = _JOURNAL_LEVELS.get(str(event.pop("level", "info")), "<6>")
        return f"{level}{renderer(logger, method, event)}"

    return render
