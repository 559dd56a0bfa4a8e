"""The demo's processes: each in a group of its own, each with a log, none left behind."""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edged.demo.interrupts import deaf, undisturbed

_TAIL_LINES = 15
_POLL_S = 0.05
_RUN_WITHIN_S = 60.0


class DemoFailure(Exception):
    """The demo cannot go on; `process` names the one whose log explains it."""

    def __init__(self, what: str, process: str | None = None) -> None:
        super().__init__(what)
        self.process = process


@dataclass(frozen=True, slots=True)
class _Running:
    name: str
    popen: "subprocess.Popen[bytes]"
    log: Path


class Processes:
    """Starts programs and ends them all, whatever happened in between.

    A program's standard error, and its output if nobody waits for a line of it, goes to `logs`/NAME.log.
    """

    def __init__(self, logs: Path, *, stop_within_s: float = 10.0) -> None:
        self._logs = logs
        self._stop_within_s = stop_within_s
        self._running: list[_Running] = []

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with deaf():
            self.stop_all()

    def start(
        self, name: str, command: list[str], *, output_to_log: bool = True
    ) -> "subprocess.Popen[bytes]":
        """Start a program that runs until it is stopped; `hear` reads what it says if not its log."""
        log = self.log_of(name)
        with undisturbed(), log.open("ab") as sink:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink if output_to_log else subprocess.PIPE,
                stderr=sink,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
            self._running.append(_Running(name, popen, log))
        return popen

    def hear(self, name: str, *, within_s: float) -> dict[str, Any]:
        """Return the JSON line that says a program is ready; start it without `output_to_log`."""
        popen = next(one.popen for one in self._running if one.name == name)
        assert popen.stdout is not None
        ready, _, _ = select.select([popen.stdout], [], [], within_s)
        line = popen.stdout.readline() if ready else b""
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError as exc:
            raise DemoFailure(f"{name} did not say within {within_s:g} s that it is ready", name) from exc
        return said

    def run(self, name: str, command: list[str]) -> str:
        """Run a program to its end and return its output; DemoFailure when it fails."""
        with self.log_of(name).open("ab") as sink:
            try:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=sink,
                    check=False,
                    timeout=_RUN_WITHIN_S,
                )
            except subprocess.TimeoutExpired as exc:
                what = f"`{' '.join(command)}` did not end within {_RUN_WITHIN_S:g} s"
                raise DemoFailure(what, name) from exc
        if done.returncode:
            raise DemoFailure(f"`{' '.join(command)}` ended with status {done.returncode}", name)
        return done.stdout.decode()

    def wait_until(self, holds: Callable[[], bool], *, within_s: float, what: str, process: str) -> float:
        """Return after how many seconds `holds` became true; DemoFailure when it does not in time."""
        began_s = time.monotonic()
        while not holds():
            self.check_alive()
            if time.monotonic() - began_s > within_s:
                raise DemoFailure(f"{what}: not within {within_s:g} s", process)
            time.sleep(_POLL_S)
        return time.monotonic() - began_s

    def check_alive(self) -> None:
        """Raise DemoFailure when a program that should run has ended."""
        for one in self._running:
            status = one.popen.poll()
            if status is not None:
                raise DemoFailure(f"{one.name} ended unexpectedly with status {status}", one.name)

    def pid_of(self, name: str) -> int:
        """Return the process id of a program that runs."""
        return next(one.popen.pid for one in self._running if one.name == name)

    def kill(self, name: str) -> None:
        """End a program as a power cut does."""
        for one in [one for one in self._running if one.name == name]:
            self._signal(one, signal.SIGKILL)
            one.popen.wait()
            self._running.remove(one)

    def stop_all(self) -> None:
        """Ask every group to end, the last started first; kill those that do not."""
        for one in reversed(self._running):
            self._signal(one, signal.SIGTERM)
        deadline_s = time.monotonic() + self._stop_within_s
        for one in reversed(self._running):
            with suppress(subprocess.TimeoutExpired):
                one.popen.wait(max(0.1, deadline_s - time.monotonic()))
            self._signal(one, signal.SIGKILL)  # also what the program itself left behind in its group
            one.popen.wait()
            if one.popen.stdout is not None:
                one.popen.stdout.close()
        self._running.clear()

    def log_of(self, name: str) -> Path:
        """Return where the program's log is."""
        return self._logs / f"{name}.log"

    def tail(self, name: str) -> str:
        """Return the last lines of the program's log."""
        try:
            lines = self.log_of(name).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_TAIL_LINES:])

    @staticmethod
    def _signal(one: _Running, number: int) -> None:
        with suppress(ProcessLookupError):  # the whole group is gone already
            os.killpg(one.popen.pid, number)
