"""Signed calls between the cloud and an operator's app, in both directions (HMAC-SHA256).

Header `Edged-Signature: t=<unix seconds>,v1=<hex>` over `<t>.<body>` with the credential's signing secret.
"""

import hashlib
import hmac
import re

TOLERANCE_S = 300

_HEADER = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")


def sign(body: bytes, secret: str, at_s: int) -> str:
    """Return the header's value."""
    return f"t={at_s},v1={_digest(body, secret, at_s)}"


def is_signed(body: bytes, header: str, secret: str, now_s: float) -> bool:
    """Tell whether the header is of this body, by the holder of the secret, and at most 5 min old."""
    found = _HEADER.fullmatch(header)
    if found is None:
        return False
    at_s = int(found[1])
    return abs(now_s - at_s) <= TOLERANCE_S and hmac.compare_digest(_digest(body, secret, at_s), found[2])


def _digest(body: bytes, secret: str, at_s: int) -> str:
    return hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
