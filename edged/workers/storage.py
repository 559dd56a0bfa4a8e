"""The worker that opens the store, and opens it again after damage; no sensor waits for it."""

import threading
import time

import structlog

from edged.store import Store, StoreError
from edged.workers.recording import DISK_DEADLINE_S

log = structlog.get_logger()

_TICK_S = 1.0
_TRY_AGAIN_S = 10.0


class StorageWorker:
    """Mends the store whenever it needs that; until then health says why, and arrivals wait in memory."""

    name = "storage"
    deadline_s = DISK_DEADLINE_S

    def __init__(self, store: Store) -> None:
        self.last_progress_s = time.monotonic()
        self._store = store

    def run(self, stop: threading.Event) -> None:
        def progress() -> None:
            self.last_progress_s = time.monotonic()
            if stop.is_set():
                raise _Stopping

        next_try_s = 0.0
        while not stop.is_set():
            self.last_progress_s = time.monotonic()
            self._store.look_at_file()
            if not self._store.needs_opening.wait(_TICK_S):
                continue
            if time.monotonic() < next_try_s:
                stop.wait(_TICK_S)
                continue
            try:
                self._store.reopen(progress)
            except _Stopping:
                log.warning("salvage interrupted: it goes on where it was after the next start")
            except StoreError as error:
                log.error("store unusable", reason=str(error), next_try_s=_TRY_AGAIN_S)
                next_try_s = time.monotonic() + _TRY_AGAIN_S
            else:
                log.info("store open")


class _Stopping(Exception):
    """The daemon stops while a damaged database is read; what is done of it is kept."""
