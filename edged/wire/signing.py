"""Ed25519 signatures of snapshots (RFC 8032): the cloud knows which pole said what, and when."""

import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edged.wire.snapshot import Snapshot


def signed(snapshot: Snapshot, key: Ed25519PrivateKey) -> Snapshot:
    """Return `snapshot` with its signature."""
    return snapshot.model_copy(update={"signature": key.sign(_signed_bytes(snapshot)).hex()})


def verify(snapshot: Snapshot, public_key: Ed25519PublicKey) -> bool:
    """Tell whether `snapshot` was signed by the holder of `public_key` and not changed since."""
    try:
        public_key.verify(bytes.fromhex(snapshot.signature), _signed_bytes(snapshot))
    except (InvalidSignature, ValueError):
        return False
    return True


def _signed_bytes(snapshot: Snapshot) -> bytes:
    body = snapshot.model_dump(mode="json", exclude={"signature"})
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
