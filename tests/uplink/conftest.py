import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fault_cloud import TOKEN, FaultCloud

from edged.domain.timekeeping import Stamp
from edged.settings import StoreSettings, UplinkSettings
from edged.store import Store
from edged.uplink import Credentials, Uplink
from edged.wire import BerthState, BerthStatus, CaptureRequest, DeviceHealth


def now() -> Stamp:
    return Stamp(utc=datetime.now(UTC), clock_synced=True, boot_id="boot-1", monotonic_s=time.monotonic())


class Unhurried(Random):
    """No randomness in waits: the shortest of the range, so that tests go fast and repeat."""

    def random(self) -> float:
        return 0.0


@dataclass
class Box:
    """A pole without sensors: a real store and a real uplink, run in a thread."""

    store: Store
    uplink: Uplink
    captures: list[CaptureRequest] = field(default_factory=list)

    def arrive(self, count: int, first: int = 0) -> list[str]:
        """Commit arrivals; return their visit ids."""
        visit_ids = [f"visit-{number:06}" for number in range(first, first + count)]
        for visit_id in visit_ids:
            self.store.drive_in("1001", visit_id, now(), "sensor")
        self.uplink.wake()
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
            self.uplink.wake()
            thread.join(10)
            assert not thread.is_alive(), "the uplink did not stop"

    def until(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Wait until `condition` holds; fails the test when it does not in time."""
        end_s = time.monotonic() + timeout_s
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < end_s, f"not in time; problems: {self.uplink.problems}"
            pause.wait(0.01)


@pytest.fixture
def credentials() -> Credentials:
    return Credentials(
        device_id="pole-0001",
        token=TOKEN,
        private_key=Ed25519PrivateKey.generate(),
        snapshot_token="snapshot-token",
    )


@pytest.fixture
def cloud() -> Iterator[FaultCloud]:
    faulty = FaultCloud()
    yield faulty
    faulty.released.set()


@pytest.fixture
def url(cloud: FaultCloud) -> Iterator[str]:
    with cloud.listening() as url:
        yield url


@pytest.fixture
def uplink_settings(url: str, tmp_path: Path) -> UplinkSettings:
    return UplinkSettings(
        cloud_url=url,
        credentials=tmp_path / "credentials.json",
        batch_size=20,
        poll_interval_s=0.2,
        timeout_s=0.6,
    )


@pytest.fixture
def box(uplink_settings: UplinkSettings, credentials: Credentials, tmp_path: Path) -> Iterator[Box]:
    captures: list[CaptureRequest] = []
    with Store.open(StoreSettings(directory=tmp_path / "store")) as store:
        uplink = Uplink(
            uplink_settings,
            credentials,
            store,
            clock=now,
            status=lambda: (
                DeviceHealth(status="ok"),
                [BerthStatus(berth_no="1001", state=BerthState.VACANT)],
            ),
            on_capture_request=captures.append,
            rng=Unhurried(),
        )
        yield Box(store=store, uplink=uplink, captures=captures)
