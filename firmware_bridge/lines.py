"""What the bus needs of its link, and what a port's name opens: serial device, serial server or gateway."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from firmware_bridge.network import open_network_line
from firmware_bridge.serial_port import open_serial_line
from firmware_bridge.settings import BusSettings


class Line(Protocol):
    """An open link that carries RTU frames."""

    def send(self, frame: bytes) -> None:
        """Hand over a whole frame. Raises PortError."""

    def read(self, until_s: float, not_before_s: float = 0.0) -> bytes:
        """What has arrived; waits for it until `until_s` (monotonic), and sleeps until `not_before_s` first.

        Empty if nothing came. Raises PortError.
        """

    def intrusion(self, *, is_failing: bool) -> str:
        """What another program did to the port since the last call; empty if nothing.

        Called about once a second; `is_failing`: requests have failed since. Raises PortError where the link
        is no longer the one that was opened.
        """


@contextmanager
def open_line(settings: BusSettings) -> Iterator[Line]:
    """Open the bus's link. Raises PortError."""
    opened: AbstractContextManager[Line]
    opened = open_serial_line(settings) if settings.is_serial else open_network_line(settings)
    with opened as line:
        yield line
