"""A pole's store and uplink as a process that is killed: names each arrival and reading that is committed.

Usage: pole.py SETTINGS ROUND VISITS. Lines on stdout: `arrived ID`, `read ID`, `left ID`, and `done` once
VISITS are recorded and the cloud has everything.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import structlog

from edged.box.clock import Clock
from edged.domain.plate import PlateKind
from edged.domain.reading import PlateReading
from edged.settings import load_settings
from edged.store import NewReading, Store
from edged.uplink import CredentialsFile, Uplink
from edged.wire import BerthState, BerthStatus, CaptureRequest, DeviceHealth

_PAUSE_S = 0.02  # between two visits: some fifty a second are enough to be hit in the middle


class _Berth:
    """A pole that asks for nothing."""

    def health(self) -> DeviceHealth:
        return DeviceHealth(status="ok")

    def berths(self) -> list[BerthStatus]:
        return [BerthStatus(berth_no="1001", state=BerthState.VACANT)]

    def carry_out(self, request: CaptureRequest, on_lost: Callable[[], None]) -> None:
        pass


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # one write: nothing is left in a buffer when killed


def visit(store: Store, clock: Clock, visit_id: str) -> None:
    """Record a whole visit, and name each part of it once it is committed."""
    store.drive_in("1001", visit_id, clock.now(), "sensor")
    say(f"arrived {visit_id}")
    now = clock.now()
    plate = PlateReading(
        text="京A12345", kind=PlateKind.SMALL_CAR, characters=(0.99,) * 7, confidence=0.99, accepted=True
    )
    picture = b"\xff\xd8 the picture of " + visit_id.encode()
    store.commit_reading(
        NewReading(
            visit_id=visit_id,
            berth_no="1001",
            stamp=now,
            reading=plate,
            captured=now,
            model_version="test",
            evidence_jpeg=picture,
        )
    )
    say(f"read {visit_id}")
    store.drive_out("1001", visit_id, clock.now(), "sensor")
    say(f"left {visit_id}")


def numbers(most: int) -> Iterator[int]:
    return iter(range(most)) if most >= 0 else count()


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    path, round_no, most = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    settings, clock, stop, pause = load_settings(path), Clock(), threading.Event(), threading.Event()
    with Store.open(settings.store) as store:
        credentials = CredentialsFile(settings.uplink.credentials)
        uplink = Uplink(settings.uplink, credentials, store, _Berth(), clock=clock.now)
        thread = threading.Thread(target=uplink.run, args=(stop,))
        thread.start()
        for number in numbers(most):
            visit(store, clock, f"visit-{round_no}-{number:06}")
            pause.wait(_PAUSE_S)
        while store.counts().waiting:
            pause.wait(0.05)
        stop.set()
        store.grown.set()
        thread.join()
    say("done")


if __name__ == "__main__":
    main()
