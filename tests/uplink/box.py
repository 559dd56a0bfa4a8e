"""A pole without sensors, for the uplink's tests."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

from edged.domain.timekeeping import Stamp
from edged.store import Store
from edged.uplink import CredentialsFile, Uplink
from edged.wire import BerthState, BerthStatus, CaptureRequest, DeviceHealth


def now() -> Stamp:
    return Stamp(utc=datetime.now(UTC), clock_synced=True, boot_id="boot-1", monotonic_s=time.monotonic())


class Unhurried(Random):
    """No randomness in waits: the shortest of the range, so that tests go fast and repeat."""

    def random(self) -> float:
        return 0.0


class QuietPole:
    """A pole with one vacant berth that keeps what the cloud asks for.

    Its first answer to a request whose id begins with "lost" cannot be stored.
    """

    def __init__(self) -> None:
        self.captures: list[CaptureRequest] = []

    def health(self) -> DeviceHealth:
        return DeviceHealth(status="ok")

    def berths(self) -> list[BerthStatus]:
        return [BerthStatus(berth_no="1001", state=BerthState.VACANT)]

    def carry_out(self, request: CaptureRequest, on_lost: Callable[[], None]) -> None:
        self.captures.append(request)
        if request.request_id.startswith("lost") and self.captures.count(request) == 1:
            on_lost()


@dataclass
class Box:
    """A pole without sensors: a real store and a real uplink, run in a thread."""

    store: Store
    uplink: Uplink
    credentials: CredentialsFile
    captures: list[CaptureRequest] = field(default_factory=list)

    def arrive(self, count: int, first: int = 0) -> list[str]:
        """Commit arrivals; return their visit ids."""
        visit_ids = [f"visit-{number:06}" for number in range(first, first + count)]
        for visit_id in visit_ids:
            self.store.drive_in("1001", visit_id, now(), "sensor")
        return visit_ids

    @contextmanager
    def running(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self.uplink.run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            self.store.grown.set()  # a new event ends the uplink's pause
            thread.join(10)
            assert not thread.is_alive(), "the uplink did not stop"

    def until(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Wait until `condition` holds; fails the test when it does not in time."""
        end_s = time.monotonic() + timeout_s
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < end_s, f"not in time; problems: {self.uplink.problems}"
            pause.wait(0.01)
