"""Commands to a running simulator: JSON, one object a line, over stdin or a unix socket."""

import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from firmware_bridge.errors import BridgeError
from firmware_bridge.simulator.faults import FaultPlan, LineFaults
from firmware_bridge.simulator.traffic import Action, Deed, Traffic

_LONGEST_LINE = 65536


class Commands:
    """What each command does. Errors become answers; nothing a caller sends ends the simulator."""

    def __init__(
        self, traffic: Traffic, *, unplug: Callable[[float], None], stop: Callable[[], None]
    ) -> None:
        self._traffic = traffic
        self._unplug = unplug
        self._stop = stop

    def answer(self, line: bytes, now_s: float) -> dict[str, Any]:
        try:
            command = json.loads(line)
            if not isinstance(command, dict):
                raise BridgeError("write one JSON object a line")
            return {"ok": True, **self._do(command, now_s)}
        except (ValueError, BridgeError) as exc:
            return {"ok": False, "error": str(exc)}

    def _do(self, command: dict[str, Any], now_s: float) -> dict[str, Any]:
        verb = command.get("do")
        rest = {key: value for key, value in command.items() if key != "do"}
        if verb in tuple(Action):
            self._traffic.do(Deed.from_mapping(command), now_s)
        elif verb == "faults":
            self._set_faults(rest)
        elif verb == "unplug":
            self._unplug(float(rest.get("seconds", 1.0)))
        elif verb == "status":
            return self._status()
        elif verb == "stop":
            self._stop()
        else:
            known = ", ".join([*Action, "faults", "unplug", "status", "stop"])
            raise BridgeError(f"do: got {verb!r}: write one of {known}")
        return {}

    def _set_faults(self, values: dict[str, Any]) -> None:
        if "device" in values:
            device = self._traffic.device(values.pop("device"))
            device.faults = FaultPlan.from_mapping(f"device {device.device_id}", values)
        else:
            self._traffic.line.faults = LineFaults.from_mapping("line", values)

    def _status(self) -> dict[str, Any]:
        line = self._traffic.line
        devices = [
            {"device": d.device_id, "profile": d.profile.name, "occupied": sorted(d.occupied)}
            for d in line.devices
        ]
        return {"devices": devices, "counts": asdict(line.counts)}


class CommandServer:
    """The command channels: stdin (only if asked for) and a unix socket.

    Serves what `select` found readable.
    """

    def __init__(
        self,
        commands: Commands,
        control: Path | None,
        stdin: IO[bytes] | None,
        on_stdin_end: Callable[[], None],
    ) -> None:
        self._commands = commands
        self._on_stdin_end = on_stdin_end
        self._control = control
        self._stdin = stdin
        self._listener: socket.socket | None = None
        self._pending: dict[Any, bytes] = {}

    def __enter__(self) -> Self:
        if self._control is not None:
            self._control.parent.mkdir(parents=True, exist_ok=True)
            self._control.unlink(missing_ok=True)
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self._control))
            self._control.chmod(0o600)
            self._listener.listen()
        if self._stdin is not None:
            self._pending[self._stdin] = b""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for source in self._pending:
            if isinstance(source, socket.socket):
                source.close()
        if self._listener is not None and self._control is not None:
            self._listener.close()
            self._control.unlink(missing_ok=True)

    def watched(self) -> list[Any]:
        return [*self._pending, *([self._listener] if self._listener else [])]

    def serve(self, readable: list[Any], now_s: float) -> None:
        for source in readable:
            if self._listener is not None and source is self._listener:
                self._pending[self._listener.accept()[0]] = b""
            elif source in self._pending:
                self._read(source, now_s)

    def _read(self, source: Any, now_s: float) -> None:
        try:
            data = os.read(source.fileno(), 4096)
        except ConnectionResetError:  # the caller went away without reading its answer
            data = b""
        lines = (self._pending[source] + data).split(b"\n")
        if not data or len(lines[-1]) > _LONGEST_LINE:
            self._drop(source)
            return
        self._pending[source] = lines.pop()
        for line in lines:
            if line.strip():
                self._reply(source, self._commands.answer(line, now_s))

    def _reply(self, source: Any, answer: dict[str, Any]) -> None:
        text = json.dumps(answer) + "\n"
        if source is self._stdin:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        try:
            source.sendall(text.encode())
        except OSError:  # the caller has gone
            self._drop(source)

    def _drop(self, source: Any) -> None:
        self._pending.pop(source, None)
        if isinstance(source, socket.socket):
            source.close()
        else:
            self._on_stdin_end()


def send_command(control: Path, command: dict[str, Any], *, timeout_s: float = 5.0) -> dict[str, Any]:
    """Send one command to a simulator's control socket; returns its answer.

    Raises BridgeError if it is refused.
    """
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout_s)
            client.connect(str(control))
            client.sendall(json.dumps(command).encode() + b"\n")
            with client.makefile("rb") as reader:
                answer: dict[str, Any] = json.loads(reader.readline(_LONGEST_LINE * 16))
    except (OSError, ValueError) as exc:
        raise BridgeError(f"simulator at {control} does not answer: {exc}") from exc
    if not answer.get("ok"):
        raise BridgeError(f"simulator refused {command}: {answer.get('error')}")
    return answer
