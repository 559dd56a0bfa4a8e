import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edged.control import SOCKET_NAME, ControlError, ControlWorker, NotRunning, ask


def broken(_request: Mapping[str, Any]) -> None:
    raise RuntimeError("the bus is gone")


def listens(directory: Path) -> bool:
    try:
        return ask(directory, "echo", text="ready") == "ready"
    except NotRunning:
        return False


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Path]:
    commands = {"echo": lambda request: request["text"], "broken": broken}
    stop = threading.Event()
    thread = threading.Thread(target=ControlWorker(tmp_path, commands).run, args=(stop,))
    (tmp_path / SOCKET_NAME).touch()  # as a killed daemon leaves it
    thread.start()
    while not listens(tmp_path):
        assert thread.is_alive()
    yield tmp_path
    stop.set()
    thread.join(5)
    assert not (tmp_path / SOCKET_NAME).exists()


def test_a_command_is_answered(daemon: Path) -> None:
    assert ask(daemon, "echo", text="京A12345") == "京A12345"


def test_a_command_that_fails_is_an_error_and_the_daemon_goes_on(daemon: Path) -> None:
    with pytest.raises(ControlError, match="the bus is gone"):
        ask(daemon, "broken")
    assert ask(daemon, "echo", text="still here") == "still here"


def test_an_unknown_command_is_told_which_there_are(daemon: Path) -> None:
    with pytest.raises(ControlError, match="echo, broken"):
        ask(daemon, "reboot")


def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="no edged runs"):
        ask(tmp_path, "echo")
