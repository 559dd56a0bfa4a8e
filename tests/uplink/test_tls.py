"""TLS: the cloud is who the CA file says, or nothing is sent."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fault_cloud import TOKEN, FaultCloud

from edged.settings import UplinkSettings
from edged.uplink import CloudClient, CloudUnreachableError
from edged.wire import DeviceHealth, SyncRequest
from tests.certificates import self_signed

HEARTBEAT = SyncRequest(
    wire_version=1,
    sent_at=datetime(2026, 1, 1, tzinfo=UTC),
    clock_synced=True,
    software_version="0",
    health=DeviceHealth(status="ok"),
    berths=(),
    events=(),
)


def settings(url: str, ca_file: Path) -> UplinkSettings:
    return UplinkSettings(cloud_url=url, credentials=ca_file, ca_file=ca_file, timeout_s=5)


def test_only_the_cloud_that_the_ca_file_vouches_for_is_spoken_to(cloud: FaultCloud, tmp_path: Path) -> None:
    ours, foreign = self_signed(tmp_path, "ours"), self_signed(tmp_path, "foreign")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ours)
    with cloud.listening(context) as url:
        with CloudClient(settings(url, ours)) as trusted:
            assert trusted.sync("pole-0001", TOKEN, HEARTBEAT).verdicts == ()
        with (
            CloudClient(settings(url, foreign)) as untrusted,
            pytest.raises(CloudUnreachableError, match=r"TLS was refused .*; check uplink.ca_file.*clock"),
        ):
            untrusted.sync("pole-0001", TOKEN, HEARTBEAT)
    assert len(cloud.requests) == 1


def test_a_missing_ca_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    with (
        CloudClient(settings("https://127.0.0.1:9", missing)) as cloud,
        pytest.raises(CloudUnreachableError, match=r"none\.pem"),
    ):
        cloud.sync("pole-0001", TOKEN, HEARTBEAT)
