"""The simulated line on a pty, in real time.

One thread: the master's characters, the clock and the commands.
"""

import fcntl
import os
import select
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import IO

from firmware_bridge.link import LinkTiming
from firmware_bridge.serial_port import sharpen_timers
from firmware_bridge.simulator.command import Commands, CommandServer
from firmware_bridge.simulator.device import SimulatedDevice
from firmware_bridge.simulator.faults import LineFaults
from firmware_bridge.simulator.line import SimulatedLine
from firmware_bridge.simulator.traffic import Deed, Traffic

_INPUT_SPEED, _OUTPUT_SPEED = 4, 5  # of what tcgetattr gives
# The last moment before a character is spun, not slept: a sleep ends 0.1 ms late, and so would the wire.
_SPUN_S = 0.0001
_UNUSED_S = 1.0  # a real port forgets that it was held alone when its user dies; a pty does not
_LONGEST_WAIT_S = 0.2  # how soon a stop is noticed


class BusSimulator:
    """Devices behind a pty that appears under `link`. `run` blocks; the constructor starts nothing."""

    def __init__(
        self,
        devices: Iterable[SimulatedDevice],
        *,
        link: Path,
        timing: LinkTiming,
        seed: int = 1,
        faults: LineFaults | None = None,
        traffic: Iterable[Deed] = (),
        control: Path | None = None,
        stdin: IO[bytes] | None = None,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self.line = SimulatedLine(devices, timing=timing, rng=Random(seed), faults=faults)
        self.traffic = Traffic(self.line, traffic)
        self.ready = threading.Event()
        self._speed: int | None = getattr(termios, f"B{timing.baudrate}", None)
        self._link = link
        self._control = control
        self._stdin = stdin
        self._on_ready = on_ready
        self._master: int | None = None
        self._slave: int | None = None
        self._pull_for_s: float | None = None
        self._replug_s = 0.0
        self._asked_s = 0.0

    def run(self, stop: threading.Event) -> None:
        """Simulate until `stop` is set or a command says so."""
        sharpen_timers()
        commands = Commands(self.traffic, unplug=self.unplug, stop=stop.set)
        with CommandServer(commands, self._control, self._stdin, stop.set) as server:
            self._plug()
            self.traffic.start(time.monotonic())
            self.ready.set()
            self._on_ready()
            try:
                while not stop.is_set():
                    self._step(server)
            finally:
                self._pull()

    def unplug(self, seconds: float) -> None:
        """The adapter vanishes and comes back under the same link. From any thread."""
        self._pull_for_s = seconds

    def _step(self, server: CommandServer) -> None:
        now_s = time.monotonic()
        if self._pull_for_s is not None:
            self._replug_s, self._pull_for_s = now_s + self._pull_for_s, None
            self._pull()
        if self._master is None and now_s >= self._replug_s:
            self._plug()
        self.traffic.advance(now_s)
        due = [when for when in (self.line.next_s(), self.traffic.next_s()) if when is not None]
        next_s = min([now_s + _LONGEST_WAIT_S, *due])
        wait_s = max(0.0, next_s - now_s - _SPUN_S)
        watched = [*server.watched(), *([] if self._master is None else [self._master])]
        readable, _, _ = select.select(watched, [], [], wait_s)
        while not readable and time.monotonic() < next_s:
            pass
        now_s = time.monotonic()
        if self._master is not None and self._master in readable:
            self._asked_s = now_s
            self._take(os.read(self._master, 4096), now_s)
        elif self._slave is not None and now_s - self._asked_s > _UNUSED_S:
            fcntl.ioctl(self._slave, termios.TIOCNXCL)
        ready = [source for source in readable if source is not self._master]
        if ready:
            server.serve(ready, now_s)
        delivered = self.line.collect(now_s)
        if delivered and self._master is not None:
            os.write(self._master, delivered)

    def _take(self, data: bytes, now_s: float) -> None:
        # A pty carries any characters at any rate; on a wire another rate makes other characters.
        slave, speed = self._slave, self._speed
        if slave is not None and speed is not None and termios.tcgetattr(slave)[_OUTPUT_SPEED] != speed:
            data = bytes(character ^ 0x55 for character in data)
        self.line.receive(data, now_s)

    def _plug(self) -> None:
        self._master, self._slave = os.openpty()
        # The other end stays open here too: a pty whose last reader goes away reports an error, a real port
        # does not.
        tty.setraw(self._slave)
        self._link.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._link.with_name(self._link.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._slave))
        fresh.rename(self._link)

    def _pull(self) -> None:
        if self._master is None or self._slave is None:
            return
        self._link.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = None
