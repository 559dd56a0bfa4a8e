"""The running daemon's local control socket: one JSON line asked, one answered.

It stands in the store's folder and is as open as that folder: whoever may read the records may ask.
The technician's commands go through it while the daemon owns buses and cameras.
"""

import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from edged.domain.health import Finding, HealthStatus

SOCKET_NAME = "control.sock"
_MAX_LINE_BYTES = 1 << 20
_RETRY_S = 2.0

Command = Callable[[Mapping[str, Any]], Any]


class ControlError(Exception):
    """The daemon could not be asked, or refused; the message says why."""


class NotRunning(ControlError):
    """No daemon listens here."""


class ControlWorker:
    """Answers `commands` by name; a command's exception becomes an error answer."""

    name = "control"
    deadline_s = 30.0

    def __init__(self, directory: Path, commands: Mapping[str, Command]) -> None:
        self.last_progress_s = time.monotonic()
        self._path = directory / SOCKET_NAME
        self._commands = commands
        self._problem: Finding | None = None

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Why the technician's commands cannot reach the daemon."""
        problem = self._problem
        return (problem,) if problem else ()

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set. A socket that cannot be made, or was deleted, is made again."""
        while not stop.is_set():
            self.last_progress_s = time.monotonic()
            try:
                self._serve(stop)
            except OSError as error:
                self._problem = Finding(
                    where="control",
                    status=HealthStatus.DEGRADED,
                    cause=f"{self._path}: {error.strerror or error}; commands cannot ask the daemon",
                    remedy="check the disk of store.directory (df -h, mount, dmesg)",
                )
                stop.wait(_RETRY_S)

    def _serve(self, stop: threading.Event) -> None:
        """Serve until `stop` is set or the socket was deleted. Raises OSError."""
        self._path.unlink(missing_ok=True)  # left by a daemon that was killed
        commands = self._commands

        class Connection(socketserver.StreamRequestHandler):
            timeout = 10

            def handle(self) -> None:
                line = self.rfile.readline(_MAX_LINE_BYTES)
                if line:
                    self.wfile.write(json.dumps(_answer(line, commands)).encode() + b"\n")

        with _Server(str(self._path), Connection) as server:
            self._path.chmod(0o660)
            self._problem = None
            server.timeout = 0.5
            while not stop.is_set() and self._path.exists():
                self.last_progress_s = time.monotonic()
                server.handle_request()
        with suppress(OSError):  # a disk that became read-only keeps a socket without a listener
            self._path.unlink(missing_ok=True)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A thread for each question, so that a slow one (a burst) holds up no other."""

    block_on_close = False
    daemon_threads = True  # a client that stays connected must not keep the daemon from stopping


def _answer(line: bytes, commands: Mapping[str, Command]) -> dict[str, Any]:
    try:
        request = json.loads(line)
        command = commands[request["command"]]
    except (ValueError, TypeError, KeyError):
        return {"error": f"not a command; there are {', '.join(commands)}"}
    try:
        return {"answer": command(request)}
    except Exception as error:  # noqa: BLE001  # whatever a question provokes must not end the daemon
        return {"error": f"{type(error).__name__}: {error}"}


def ask(directory: Path, command: str, timeout_s: float = 30.0, **arguments: Any) -> Any:
    """Return the answer of the daemon whose store is `directory`. Raises NotRunning, ControlError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(directory / SOCKET_NAME))
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise NotRunning(f"no edged runs with the store {directory}") from error
        except OSError as error:
            raise ControlError(f"{directory / SOCKET_NAME}: {error.strerror}") from error
        try:
            connection.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
            with connection.makefile("rb") as stream:
                reply = json.loads(stream.readline(_MAX_LINE_BYTES))
        except (OSError, ValueError) as error:
            raise ControlError(f"edged did not answer {command!r}: {error}") from error
    if "error" in reply:
        raise ControlError(reply["error"])
    return reply["answer"]
