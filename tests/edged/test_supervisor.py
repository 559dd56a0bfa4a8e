import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.box.clock import Clock
from edged.domain.health import Finding, HealthStatus
from edged.settings import StoreSettings, load_settings
from edged.store import Store
from edged.supervisor import Patience, Supervisor
from edged.supervisor.systemd import SystemdNotifier
from edged.uplink import CredentialsFile
from edged.workers.board import Board
from edged.workers.health_book import HealthBook
from edged.workers.pole import Pole

CONFIG = Path(__file__).parents[2] / "config" / "edged.toml"


class LoopWorker:
    """A worker that makes progress until told to stop, or until `work` raises or returns False."""

    def __init__(self, work: Callable[[], bool] = lambda: True, deadline_s: float = 30.0) -> None:
        self.name = "loop"
        self.deadline_s = deadline_s
        self.last_progress_s = time.monotonic()
        self.stopped = False
        self._work = work

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(0.01) and self._work():
            self.last_progress_s = time.monotonic()
        self.stopped = True


def supervise(
    *workers: LoopWorker, stop: threading.Event | None = None, status_line: Callable[[], str] = lambda: ""
) -> int:
    return Supervisor(workers, SystemdNotifier(), status_line).run(stop or threading.Event())


def broken() -> bool:
    raise RuntimeError("broken")


def test_told_to_stop_it_ends_every_worker_and_succeeds() -> None:
    stop = threading.Event()
    beats = iter(range(20))

    def until_twenty() -> bool:
        if next(beats) == 19:
            stop.set()
        return True

    workers = LoopWorker(), LoopWorker(until_twenty)
    assert supervise(*workers, stop=stop) == 0
    assert all(worker.stopped for worker in workers)


@pytest.mark.parametrize("work", [broken, lambda: False], ids=["raises", "returns early"])
def test_a_worker_that_ends_by_itself_takes_the_others_down(work: Callable[[], bool]) -> None:
    sound = LoopWorker()
    assert supervise(sound, LoopWorker(work)) == 1
    assert sound.stopped


def test_a_worker_without_progress_takes_the_process_down() -> None:
    release = threading.Event()
    stuck = LoopWorker(lambda: release.wait(60), deadline_s=0.2)
    threading.Timer(1.0, release.set).start()
    assert supervise(LoopWorker(), stuck) == 1


def test_an_exception_in_the_supervisor_itself_stops_every_worker_and_is_a_failure() -> None:
    looks = iter(["sound"])
    workers = LoopWorker(), LoopWorker()
    assert supervise(*workers, status_line=lambda: next(looks)) == 1
    assert all(worker.stopped for worker in workers)


def test_a_worker_that_fails_while_it_is_stopped_is_a_failure() -> None:
    stop = threading.Event()

    class LosesAtTheEnd(LoopWorker):
        def run(self, stop: threading.Event) -> None:
            super().run(stop)
            raise RuntimeError("what waited in memory is lost")

    threading.Timer(0.2, stop.set).start()
    assert supervise(LosesAtTheEnd(), stop=stop) == 1


def test_time_in_which_the_process_could_not_run_counts_for_no_deadline() -> None:
    worker = LoopWorker(deadline_s=5.0)
    patience = Patience([worker], now_s=0.0)
    assert patience.late(0.5) == []
    assert patience.late(20.5) == []  # SIGSTOP for 20 s
    assert patience.late(600.5) == []  # a suspended machine
    assert next(second for second in range(601, 610) if patience.late(second)) <= 603
    worker.last_progress_s += 1
    assert patience.late(611) == []


def test_a_problem_that_ends_while_the_status_line_is_made_ends_nothing(tmp_path: Path) -> None:
    class Flapping:
        looks = iter([(Finding(where="bus", status=HealthStatus.FAILED, cause="no port", remedy="look"),)])

        @property
        def problems(self) -> tuple[Finding, ...]:
            return next(self.looks, ())

    settings = load_settings(CONFIG)
    health = HealthBook()
    health.add_sources(Flapping())
    with Store.open(StoreSettings(directory=tmp_path)) as store:
        credentials = CredentialsFile(tmp_path / "none.json")
        pole = Pole(settings, store, Clock(), Board(settings.berth), health, {}, credentials)
        assert "failed: bus: no port; look" in pole.status_line()
        assert pole.status_line().endswith("all well")


HANGING = """
import threading, time
from edged import supervisor
from edged.supervisor.systemd import SystemdNotifier
class Hanging:
    name, deadline_s, last_progress_s = "hanging", 0.1, 0.0
    def run(self, stop): time.sleep(60)
supervisor.Supervisor([Hanging()], SystemdNotifier(), lambda: "", stop_within_s=0.3).run(threading.Event())
"""


def test_a_worker_that_hangs_in_native_code_cannot_keep_the_process_alive() -> None:
    result = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, timeout=20, check=False)
    assert result.returncode == 1
    assert b"did not stop" in result.stdout + result.stderr


def test_systemd_hears_ready_watchdog_and_stopping(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("systemd.daemon", reason="systemd-python is not installed")
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        stop = threading.Event()
        threading.Timer(0.3, stop.set).start()
        supervise(LoopWorker(), stop=stop)
        heard = b""
        while b"STOPPING=1" not in heard:
            heard += manager.recv(4096)
    assert heard.startswith(b"READY=1")
    assert b"WATCHDOG=1" in heard
