import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from edged.supervisor import Supervisor
from edged.systemd_notify import SystemdNotifier


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


def supervise(*workers: LoopWorker, stop: threading.Event | None = None) -> int:
    return Supervisor(workers, SystemdNotifier(), lambda: "").run(stop or threading.Event())


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


HANGING = """
import threading, time
from edged import supervisor
from edged.systemd_notify import SystemdNotifier
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
