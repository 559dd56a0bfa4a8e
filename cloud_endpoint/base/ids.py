"""Random names and secrets."""

import hashlib
import hmac
import secrets

# No 0/O, 1/I/L: a code is typed from a sheet of paper.
_CODE_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


def new_id(prefix: str) -> str:
    """Return an identifier that cannot be guessed, for example `ord_3f...`."""
    return f"{prefix}_{secrets.token_hex(12)}"


def new_token() -> str:
    """Return a bearer token of 256 bits."""
    return secrets.token_urlsafe(32)


def new_code() -> str:
    """Return a one-time code of 79 bits for typing, `XXXX-XXXX-XXXX-XXXX`."""
    letters = "".join(secrets.choice(_CODE_LETTERS) for _ in range(16))
    return "-".join(letters[i : i + 4] for i in range(0, 16, 4))


def fingerprint(secret: str) -> str:
    """Return what is stored of a token: it has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret: str, stored_sha256: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(fingerprint(secret), stored_sha256)
