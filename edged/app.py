"""The only place that builds concrete things from settings: queues first, then those who share them."""

import signal
import threading
import time
from types import FrameType

import structlog
from prometheus_client import REGISTRY

from edged import metrics
from edged.camera import open_camera
from edged.clock import Clock
from edged.control import ControlWorker
from edged.domain.health import Finding, HealthStatus
from edged.sensor_buses import sensor_buses
from edged.settings import ModelSettings, Settings, needs_of
from edged.snapshot_api import create_app
from edged.store import Store, StoreError
from edged.supervisor import Supervisor, Worker
from edged.systemd_notify import SystemdNotifier
from edged.uplink import CredentialsFile, Uplink
from edged.vision.errors import VisionError
from edged.vision.pipeline import PlateVision
from edged.workers.berths import BerthWorker
from edged.workers.board import Board
from edged.workers.buses import BusWorker
from edged.workers.captures import CaptureWorker
from edged.workers.commands import pole_commands
from edged.workers.health_book import HealthBook
from edged.workers.http import HttpWorker
from edged.workers.pole import Pole
from edged.workers.queues import BerthNews, BurstQueue, CaptureQueue
from edged.workers.readings import ReadingWorker
from edged.workers.store_metrics import StoreMetrics
from edged.workers.upkeep import UpkeepWorker
from firmware_bridge.desk import bus_commands

log = structlog.get_logger()

_STORE_RETRY_S = 10.0


def run(settings: Settings) -> int:
    """Run the daemon until SIGTERM or SIGINT; return the exit status."""
    stop = _set_by_signals()
    notifier = SystemdNotifier()
    store = _open_store(settings, notifier, stop)
    if store is None:
        return 0
    with store:
        return _run_workers(settings, store, notifier, stop)


def _run_workers(settings: Settings, store: Store, notifier: SystemdNotifier, stop: threading.Event) -> int:
    """Run all workers of the box until one fails or `stop` is set; return the exit status."""
    site, directory = settings.site, settings.store.directory
    log.info("edged starts", site_id=site.site_id, device_id=site.device_id, berths=len(settings.berth))
    clock = Clock()
    health = HealthBook(needs_of(settings))
    board = Board(settings.berth)
    credentials = CredentialsFile(settings.uplink.credentials)

    news = BerthNews()  # buses, readings -> berths
    captures = {camera.name: CaptureQueue(camera.name) for camera in settings.camera}  # berths -> cameras
    bursts = BurstQueue()  # cameras -> readings

    buses = [BusWorker(bus) for bus in sensor_buses(settings, news.put)]
    berths = BerthWorker(settings.berth, store, clock, board, health, news, captures)
    cameras = [
        CaptureWorker(camera, open_camera(camera, stop=stop), captures[camera.name], bursts, board, health)
        for camera in settings.camera
    ]
    vision = _load_vision(settings.model, health)
    readings = ReadingWorker(site, vision, store, clock, health, bursts, captures, news)
    pole = Pole(settings, store, clock, board, health, captures, credentials)
    uplink = Uplink(settings.uplink, credentials, store, pole, clock=clock.now)
    api = HttpWorker(settings.snapshot_api, create_app(pole, credentials.snapshot_token), health)
    commands = pole_commands(board, health) | bus_commands({bus.bus.settings.name: bus.bus for bus in buses})
    control = ControlWorker(directory, commands)
    upkeep = UpkeepWorker(directory, store, clock, uplink, health)

    health.add_sources(store, uplink, *buses)
    metrics.HEALTH.set_function(health.level)
    REGISTRY.register(StoreMetrics(store, clock))
    workers: list[Worker] = [*buses, berths, *cameras, readings, uplink, api, control, upkeep]
    status = Supervisor(workers, notifier, pole.status_line).run(stop)
    log.info("edged ends", status=status)
    return status


def _set_by_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()

    def set_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, set_stop)
    return stop


def _open_store(settings: Settings, notifier: SystemdNotifier, stop: threading.Event) -> Store | None:
    """Return the store, however long the disk takes to be usable; None when `stop` is set first.

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


def _load_vision(model: ModelSettings, health: HealthBook) -> PlateVision | None:
    """Return the models; without them arrivals are still recorded, with pictures, and health says why."""
    try:
        return PlateVision.load(model.directory, threads=model.threads)
    except VisionError as error:
        health.enter(Finding.of("model", HealthStatus.FAILED, error.trouble))
        return None
