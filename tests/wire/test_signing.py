from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edged.wire import Snapshot
from edged.wire.signing import signed, verify

KEY = Ed25519PrivateKey.generate()
SNAPSHOT = Snapshot(
    device_id="pole-0001",
    berth_no="1001",
    state="vacant",
    visit_id=None,
    reading=None,
    evidence_sha256=None,
    captured_at=None,
    signed_at=datetime(2026, 1, 1, tzinfo=UTC),
    nonce="n0123456789",
)


def test_a_signed_snapshot_survives_the_wire() -> None:
    received = Snapshot.model_validate_json(signed(SNAPSHOT, KEY).model_dump_json())
    assert verify(received, KEY.public_key())


def test_a_changed_snapshot_is_refused() -> None:
    forged = signed(SNAPSHOT, KEY).model_copy(update={"berth_no": "1002"})
    assert not verify(forged, KEY.public_key())


def test_a_snapshot_of_another_pole_is_refused() -> None:
    assert not verify(signed(SNAPSHOT, KEY), Ed25519PrivateKey.generate().public_key())


def test_a_snapshot_without_or_with_a_garbled_signature_is_refused() -> None:
    for signature in ("", "zz", "00" * 64):
        assert not verify(SNAPSHOT.model_copy(update={"signature": signature}), KEY.public_key())
