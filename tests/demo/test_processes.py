"""No process is left behind, and a failure shows the log that explains it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edged.demo.processes import DemoFailure, Processes
from tests.waiting import until

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
child.wait()
"""


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def command_lines(word: str) -> Iterator[str]:
    """Yield the command lines of all running processes that hold `word`."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line:
            yield line


def test_every_process_ends_with_the_block(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        first, second = processes.start("first", SLEEP), processes.start("second", SLEEP)
    assert not is_running(first.pid)
    assert not is_running(second.pid)


def test_a_process_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    with Processes(tmp_path, stop_within_s=0.5) as processes:
        deaf = processes.start("deaf", [sys.executable, "-c", DEAF])
        until(lambda: "deaf" in processes.tail("deaf"))
    assert not is_running(deaf.pid)


def test_grandchildren_end_too(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("parent", [sys.executable, "-c", PARENT])
        log = processes.log_of("parent")
        until(lambda: log.read_text().strip().isdigit())
        grandchild = int(log.read_text())
        assert is_running(grandchild)
    until(lambda: not is_running(grandchild))


def test_an_unexpected_end_is_noticed_with_its_log(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("frail", [sys.executable, "-c", "import sys; sys.exit('no such port')"])
        with pytest.raises(DemoFailure, match="frail ended unexpectedly with status 1") as caught:
            processes.wait_until(lambda: False, within_s=20, what="never", process="frail")
        assert caught.value.process == "frail"
        assert "no such port" in processes.tail("frail")


def test_a_wait_ends_in_time_and_says_for_what(tmp_path: Path) -> None:
    with (
        Processes(tmp_path) as processes,
        pytest.raises(DemoFailure, match=r"the moon rises: not within 0\.1 s"),
    ):
        processes.wait_until(lambda: False, within_s=0.1, what="the moon rises", process="sky")


def test_a_failing_command_names_itself(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes, pytest.raises(DemoFailure, match="ended with status 3"):
        processes.run("tool", [sys.executable, "-c", "raise SystemExit(3)"])


@contextmanager
def started_with(action: signal.Handlers, number: int) -> Iterator[None]:
    """Let what is started in the block find a signal so; a shell's background jobs find SIGINT ignored."""
    before = signal.signal(number, action)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize(
    ("number", "action", "running", "settings"),
    [
        (signal.SIGTERM, signal.SIG_DFL, "firmware_bridge.simulator", "bus.toml"),
        (signal.SIGHUP, signal.SIG_DFL, "firmware_bridge.simulator", "bus.toml"),
        (signal.SIGINT, signal.SIG_IGN, "edged run", "edged.toml"),
    ],
)
def test_an_interrupted_demo_leaves_no_process_behind(
    tmp_path: Path, number: int, action: signal.Handlers, running: str, settings: str
) -> None:
    out = tmp_path / "interrupted"
    command = [sys.executable, "-m", "edged.demo", "--out", str(out)]
    with started_with(action, number):
        demo = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
    with demo:
        path = str(out / "settings" / settings)
        until(lambda: any(running in line for line in command_lines(path)), within_s=60)
        os.killpg(demo.pid, number)
        output, errors = demo.communicate(timeout=60)
    assert (demo.returncode, errors) == (130, b""), output.decode()
    assert list(command_lines(str(out))) == []


def test_a_simulated_pole_that_is_terminated_leaves_no_process_behind(tmp_path: Path) -> None:
    out = tmp_path / "desk"
    command = [str(Path(sys.executable).with_name("edged")), "simulate", "--out", str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as desk:
        until(lambda: any("simulator" in line for line in command_lines(str(out))), within_s=60)
        desk.terminate()
        desk.wait(30)
    assert list(command_lines(str(out))) == []
