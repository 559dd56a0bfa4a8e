from collections.abc import Iterator
from pathlib import Path

import pytest
from box import Box, QuietPole, Unhurried, now
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fault_cloud import TOKEN, FaultCloud

from edged.settings import StoreSettings, UplinkSettings
from edged.store import Store
from edged.uplink import Credentials, CredentialsFile, Uplink


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
    pole = QuietPole()
    file = CredentialsFile(uplink_settings.credentials, credentials)
    with Store.open(StoreSettings(directory=tmp_path / "store")) as store:
        uplink = Uplink(
            uplink_settings,
            file,
            store,
            pole,
            clock=now,
            rng=Unhurried(),
        )
        yield Box(store=store, uplink=uplink, credentials=file, captures=pole.captures)
