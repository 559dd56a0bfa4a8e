from collections.abc import Iterator
from pathlib import Path

import pytest
from box import Box, Unhurried, now
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fault_cloud import TOKEN, FaultCloud

from edged.settings import StoreSettings, UplinkSettings
from edged.store import Store
from edged.uplink import Credentials, Uplink
from edged.wire import BerthState, BerthStatus, CaptureRequest, DeviceHealth


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
