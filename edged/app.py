"""The only place that builds concrete things from settings."""

import signal
import threading
import time
from typing import Any

import structlog
from prometheus_client import REGISTRY

from edged import metrics
from edged.camera import open_camera
from edged.clock import Clock
from edged.control import Command, ControlWorker
from edged.domain.health import Finding, HealthStatus
from edged.sensor_buses import sensor_buses
from edged.settings import BerthSettings, CameraSettings, Settings
from edged.snapshot_api import create_app
from edged.store import Store, StoreError
from edged.supervisor import Supervisor, Worker
from edged.systemd_notify import SystemdNotifier
from edged.uplink import Uplink
from edged.vision.errors import VisionError
from edged.vision.pipeline import PlateVision
from edged.wire import Snapshot
from edged.wire.signing import signed
from edged.workers.berths import BerthWorker
from edged.workers.board import Board
from edged.workers.buses import BusWorker
from edged.workers.captures import CaptureJob, CaptureWorker, Reason
from edged.workers.health_book import HealthBook
from edged.workers.http import HttpWorker
from edged.workers.pole import Pole
from edged.workers.readings import ReadingWorker
from edged.workers.store_metrics import StoreMetrics
from edged.workers.upkeep import UpkeepWorker
from firmware_bridge.desk import bus_commands

log = structlog.get_logger()

_STORE_RETRY_S = 10.0


def run(settings: Settings) -> int:
    """Run the daemon until SIGTERM or SIGINT; return the exit status."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    notifier = SystemdNotifier()
    store = _open_store(settings, notifier, stop)
    if store is None:
        return 0
    with store:
        return _Daemon(settings, store, notifier, stop).run()


def _open_store(settings: Settings, notifier: SystemdNotifier, stop: threading.Event) -> Store | None:
    """Return the store, however long the disk takes to be usable; None when told to stop first.

    Exiting instead would only make systemd start us again.
    """
    while not stop.is_set():
        try:
            return Store.open(settings.store)
        except StoreError as error:
            log.error("store unusable", reason=str(error), next_try_s=_STORE_RETRY_S)
            notifier.ready()
            notifier.status(f"store unusable: {error}")
        next_try_s = time.monotonic() + _STORE_RETRY_S
        while not stop.wait(1.0) and time.monotonic() < next_try_s:
            notifier.alive()
    return None


class _Daemon:
    """All workers of one box, wired."""

    def __init__(
        self, settings: Settings, store: Store, notifier: SystemdNotifier, stop: threading.Event
    ) -> None:
        self._settings = settings
        self._store = store
        self._notifier = notifier
        self._stop = stop
        self._clock = Clock()
        self._health = HealthBook()
        self._berths = {berth.berth_no: berth for berth in settings.berth}
        closed = [berth.berth_no for berth in settings.berth if not berth.in_service]
        self._board = Board(self._berths, closed)
        self._uplink = self._make_uplink()
        self._cameras = {camera.name: self._make_camera(camera) for camera in settings.camera}
        self._reading = ReadingWorker(
            settings.site,
            self._vision(),
            store,
            self._clock,
            self._health,
            self._uplink.wake,
            self._retry,
            self._swapped,
        )
        self._arrivals = BerthWorker(
            settings.berth,
            store,
            self._clock,
            self._board,
            self._health,
            self._uplink.wake,
            self._want_capture,
        )
        self._buses = [BusWorker(bus) for bus in sensor_buses(settings, self._arrivals.observe)]
        self._pole = Pole(
            settings.site.device_id,
            self._berths,
            self._cameras,
            self._board,
            store,
            self._clock,
            self._health,
            self._uplink.wake,
            self._sign,
        )
        self._health.ask(lambda: store.problems)
        self._health.ask(lambda: self._uplink.problems)
        for bus in self._buses:
            self._health.ask(bus.problems)
        metrics.HEALTH.set_function(lambda: list(HealthStatus).index(self._health.status()))

    def run(self) -> int:
        """Run all workers until told to stop or one fails; return the exit status."""
        site = self._settings.site
        log.info("edged starts", site_id=site.site_id, device_id=site.device_id, berths=len(self._berths))
        directory = self._settings.store.directory
        api = create_app(self._pole, self._snapshot_token)
        workers: list[Worker] = [
            *self._buses,
            self._arrivals,
            *self._cameras.values(),
            self._reading,
            self._uplink,
            HttpWorker(self._settings.snapshot_api, api, self._health),
            ControlWorker(directory, self._commands()),
            UpkeepWorker(directory, self._store, self._clock, self._health),
        ]
        REGISTRY.register(StoreMetrics(self._store, self._clock))
        status = Supervisor(workers, self._notifier, self._pole.status_line).run(self._stop)
        log.info("edged ends", status=status)
        return status

    def _make_uplink(self) -> Uplink:
        return Uplink(
            self._settings.uplink,
            None,  # it looks for them itself: a box may be enrolled while the daemon runs
            self._store,
            clock=self._clock.now,
            status=lambda: (self._pole.health(), self._board.all()),
            on_capture_request=lambda request: self._pole.carry_out(request),
        )

    def _make_camera(self, settings: CameraSettings) -> CaptureWorker:
        return CaptureWorker(
            settings,
            open_camera(settings, stop=self._stop),
            deliver=lambda job, frames: self._reading.take(job, frames),
            still_there=self._is_open,
            health=self._health,
        )

    def _vision(self) -> PlateVision | None:
        """Return the models; without them arrivals are still recorded, with pictures, and health says why."""
        model = self._settings.model
        try:
            return PlateVision.load(model.directory, threads=model.threads)
        except VisionError as error:
            self._health.enter(Finding.of("model", HealthStatus.FAILED, error.trouble))
            return None

    def _want_capture(self, berth: BerthSettings, visit_id: str, reason: Reason) -> None:
        job = CaptureJob(berth=berth, visit_id=visit_id, reason=reason, asked_s=time.monotonic())
        self._cameras[berth.camera].submit(job)

    def _retry(self, job: CaptureJob) -> None:
        self._cameras[job.berth.camera].retry(job)

    def _swapped(self, berth_no: str, visit_id: str, at_s: float) -> None:
        self._arrivals.swapped(berth_no, visit_id, at_s)

    def _is_open(self, visit_id: str) -> bool:
        return any(status.visit_id == visit_id for status in self._board.all())

    def _sign(self, snapshot: Snapshot) -> Snapshot:
        """Sign once enrolled; before that nobody has a token to ask with."""
        credentials = self._uplink.credentials
        return signed(snapshot, credentials.private_key) if credentials else snapshot

    def _snapshot_token(self) -> str | None:
        credentials = self._uplink.credentials
        return credentials.snapshot_token if credentials else None

    def _commands(self) -> dict[str, Command]:
        """What the technician's commands may ask of the running daemon."""
        return {
            "health": lambda _request: [_as_json(finding) for finding in self._health.problems()],
            "berths": lambda _request: [status.model_dump(mode="json") for status in self._board.all()],
            **bus_commands({bus.bus.settings.name: bus.bus for bus in self._buses}),
        }


def _as_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as `edged.control.ask` gives it; these names are stable."""
    return {
        "component": finding.where,
        "status": finding.status.value,
        "cause": finding.cause,
        "remedy": finding.remedy,
    }
