"""The faults of the soak: one after the other, each ends, in turn at bus, camera, cloud and disk."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from edged.demo.street import EDGED_CLOUD, Street
from firmware_bridge.simulator import send_command

FAULT_S = 15.0
BETWEEN_S = 20.0
COMMAND_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong, and how it is mended."""

    name: str
    begin: Callable[[], None]
    end: Callable[[], None]


class Faults:
    """Begins and ends one fault at a time.

    `disk` is the mounted folder of the store; None: it cannot be filled.
    """

    def __init__(self, street: Street, cloud_pid: int, disk: Path | None) -> None:
        self._street = street
        self._cloud_pid = cloud_pid
        self._disk = disk
        self._plan: Iterator[Fault] = cycle(self._all())
        self._active: Fault | None = None
        self._change_s = 0.0
        self.counts: Counter[str] = Counter()

    def step(self, now_s: float) -> None:
        """Begin or end a fault when it is time."""
        if now_s < self._change_s:
            return
        if self._active is not None:
            self.mend()
            self._change_s = now_s + BETWEEN_S
            return
        self._active = next(self._plan)
        self.counts[self._active.name] += 1
        self._active.begin()
        self._change_s = now_s + FAULT_S

    def mend(self) -> None:
        """End the fault that is active."""
        if self._active is not None:
            self._active.end()
            self._active = None

    def _all(self) -> Iterator[Fault]:
        yield self._of_bus("noise on the line", {"corrupt_byte_rate": 0.02}, {})
        yield self._of_camera("500")
        yield Fault(name="cloud killed", begin=self._kill_cloud, end=self._start_cloud)
        if self._disk is not None:
            yield Fault(name="disk full", begin=self._fill_disk, end=self._ballast().unlink)
        yield self._of_bus("sensor silent", {"device": 3, "silent_rate": 1.0}, {"device": 3})
        yield self._of_camera("silent")
        yield Fault(
            name="cloud hangs",
            begin=lambda: os.kill(self._cloud_pid, signal.SIGSTOP),
            end=lambda: os.kill(self._cloud_pid, signal.SIGCONT),
        )
        yield Fault(
            name="adapter unplugged",
            begin=lambda: self._bus({"do": "unplug", "seconds": FAULT_S}),
            end=lambda: None,  # it comes back by itself
        )
        yield self._of_camera("html")
        yield self._of_bus("sensor babbles", {"device": 5, "babble_rate": 0.5}, {"device": 5})
        yield self._of_camera("cut_off")

    def _of_bus(self, name: str, plan: dict[str, Any], mended: dict[str, Any]) -> Fault:
        return Fault(
            name=name,
            begin=lambda: self._bus({"do": "faults", **plan}),
            end=lambda: self._bus({"do": "faults", **mended}),
        )

    def _of_camera(self, answer: str) -> Fault:
        hardware = self._street.hardware
        return Fault(
            name=f"camera {answer}",
            begin=lambda: hardware.camera_fault(answer),
            end=lambda: hardware.camera_fault(""),
        )

    def _bus(self, command: dict[str, Any]) -> None:
        send_command(self._street.hardware.files.run / "bus.sock", command, timeout_s=COMMAND_WITHIN_S)

    def _kill_cloud(self) -> None:
        self._street.processes.kill("cloud")

    def _start_cloud(self) -> None:
        settings = self._street.hardware.files.folder / "cloud.toml"
        started = self._street.processes.start("cloud", [EDGED_CLOUD, "serve", "--config", str(settings)])
        self._cloud_pid = started.pid

    def _ballast(self) -> Path:
        assert self._disk is not None
        return self._disk / "ballast"

    def _fill_disk(self) -> None:
        with suppress(OSError), self._ballast().open("wb", buffering=0) as file:  # that it is full is wanted
            while file.write(b"\0" * 65536):
                pass
