"""The only place that builds concrete things from settings: queues first, then those who share them."""

import signal
import threading
from types import FrameType

import structlog
from prometheus_client import REGISTRY

from edged.box import metrics
from edged.box.clock import Clock
from edged.box.memory import give_back_freed_pictures
from edged.camera import open_camera
from edged.control import ControlWorker
from edged.domain.health import Finding, HealthStatus
from edged.sensor_buses import sensor_buses
from edged.settings import ModelSettings, Settings, needs_of
from edged.snapshot_api import create_app
from edged.store import Store
from edged.supervisor import Supervisor, Worker
from edged.supervisor.systemd import SystemdNotifier
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
from edged.workers.instructions import InstructionQueue
from edged.workers.pole import Pole
from edged.workers.queues import BerthNews, BurstQueue, CaptureQueue
from edged.workers.readings import ReadingWorker
from edged.workers.recording import RecordingWorker
from edged.workers.storage import StorageWorker
from edged.workers.store_metrics import StoreMetrics
from edged.workers.upkeep import UpkeepWorker
from edged.workers.views import ViewBook
from firmware_bridge.desk import bus_commands

log = structlog.get_logger()


def run(settings: Settings) -> int:
    """Run the daemon until SIGTERM or SIGINT; return the exit status."""
    give_back_freed_pictures()
    stop = _set_by_signals()
    with Store(settings.store) as store:  # opened by its worker: sensors do not wait for a disk
        return _run_workers(settings, store, SystemdNotifier(), stop)


def _run_workers(settings: Settings, store: Store, notifier: SystemdNotifier, stop: threading.Event) -> int:
    """Run all workers of the box until one fails or `stop` is set; return the exit status."""
    site, directory = settings.site, settings.store.directory
    log.info("edged starts", site_id=site.site_id, device_id=site.device_id, berths=len(settings.berth))
    clock = Clock()
    health = HealthBook(needs_of(settings))
    board = Board(settings.berth)
    credentials = CredentialsFile(settings.uplink.credentials)

    news = BerthNews()  # buses, readings -> berths
    instructions = InstructionQueue(board)  # berths -> recording
    captures = {camera.name: CaptureQueue(camera.name) for camera in settings.camera}  # recording -> cameras
    bursts = BurstQueue()  # cameras -> readings

    buses = [BusWorker(bus) for bus in sensor_buses(settings, news.put)]
    berths = BerthWorker(settings.berth, store, health, news, instructions)
    recording = RecordingWorker(settings.berth, store, clock, instructions, captures)
    views = ViewBook(settings, clock, board, health, captures)
    cameras = [
        CaptureWorker(
            camera,
            open_camera(camera, stop=stop),
            captures[camera.name],
            bursts,
            board,
            health,
            [berth for berth in settings.berth if berth.camera == camera.name and camera.is_live],
        )
        for camera in settings.camera
    ]
    vision = _load_vision(settings.model, health)
    readings = ReadingWorker(site, vision, store, clock, health, bursts, captures, news, views)
    pole = Pole(settings, store, clock, board, health, captures, credentials)
    uplink = Uplink(settings.uplink, credentials, store, pole, clock=clock.now)
    api = HttpWorker(settings.snapshot_api, create_app(pole, credentials.snapshot_token), health)
    commands = pole_commands(board, health, views) | bus_commands(
        {bus.bus.settings.name: bus.bus for bus in buses}
    )
    control = ControlWorker(directory, commands)
    upkeep = UpkeepWorker(directory, store, clock, uplink, health)

    health.add_sources(store, instructions, uplink, control, *buses)
    metrics.HEALTH.set_function(health.level)
    REGISTRY.register(StoreMetrics(store, clock))
    workers: list[Worker] = [
        *buses,
        berths,
        recording,
        *cameras,
        readings,
        uplink,
        api,
        control,
        upkeep,
        StorageWorker(store),
    ]
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


def _load_vision(model: ModelSettings, health: HealthBook) -> PlateVision | None:
    """Return the models; without them arrivals are still recorded, with pictures, and health says why."""
    try:
        return PlateVision.load(model.directory, threads=model.threads)
    except VisionError as error:
        health.enter(Finding.of("model", HealthStatus.FAILED, error.trouble))
        return None
