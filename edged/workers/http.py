"""The worker that serves the snapshot API."""

import threading
import time

from fastapi import FastAPI

from edged.domain.health import Finding, HealthStatus
from edged.settings import SnapshotApiSettings
from edged.snapshot_api import ListenError, listening_socket, serve
from edged.workers.health_book import HealthBook

_RETRY_S = 5.0


class HttpWorker:
    """Serves `app`. An address that is taken is tried again: berths and cameras must not wait for it."""

    name = "http"
    deadline_s = 30.0

    def __init__(self, settings: SnapshotApiSettings, app: FastAPI, health: HealthBook) -> None:
        self.last_progress_s = time.monotonic()
        self._settings = settings
        self._app = app
        self._health = health

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._progress()
            try:
                listening = listening_socket(self._settings)
            except ListenError as error:
                self._health.enter(Finding.of("snapshot api", HealthStatus.DEGRADED, error.trouble))
                stop.wait(_RETRY_S)
            else:
                self._health.clear("snapshot api")
                serve(self._app, listening, stop, on_tick=self._progress)

    def _progress(self) -> None:
        self.last_progress_s = time.monotonic()
