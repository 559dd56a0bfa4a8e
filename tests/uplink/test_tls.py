"""TLS: the cloud is who the CA file says, or nothing is sent."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fault_cloud import TOKEN, FaultCloud

from edged.settings import UplinkSettings
from edged.uplink import Cloud, CloudUnreachableError
from edged.wire import DeviceHealth, SyncRequest

HEARTBEAT = SyncRequest(
    wire_version=1,
    sent_at=datetime(2026, 1, 1, tzinfo=UTC),
    clock_synced=True,
    software_version="0",
    health=DeviceHealth(status="ok"),
    berths=(),
    events=(),
)


def certificate(folder: Path, name: str) -> Path:
    """Write a self-signed certificate with its key for 127.0.0.1; return the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    encoding = serialization.Encoding.PEM
    path.write_bytes(
        made.public_bytes(encoding)
        + key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def settings(url: str, ca_file: Path) -> UplinkSettings:
    return UplinkSettings(cloud_url=url, credentials=ca_file, ca_file=ca_file, timeout_s=5)


def test_only_the_cloud_that_the_ca_file_vouches_for_is_spoken_to(cloud: FaultCloud, tmp_path: Path) -> None:
    ours, foreign = certificate(tmp_path, "ours"), certificate(tmp_path, "foreign")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ours)
    with cloud.listening(context) as url:
        with Cloud(settings(url, ours)) as trusted:
            assert trusted.sync("pole-0001", TOKEN, HEARTBEAT).verdicts == ()
        with (
            Cloud(settings(url, foreign)) as untrusted,
            pytest.raises(CloudUnreachableError, match=r"TLS was refused .*; check uplink.ca_file.*clock"),
        ):
            untrusted.sync("pole-0001", TOKEN, HEARTBEAT)
    assert len(cloud.requests) == 1


def test_a_missing_ca_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    with (
        Cloud(settings("https://127.0.0.1:9", missing)) as cloud,
        pytest.raises(CloudUnreachableError, match=r"none\.pem"),
    ):
        cloud.sync("pole-0001", TOKEN, HEARTBEAT)
