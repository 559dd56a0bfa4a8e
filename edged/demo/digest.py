"""The server's side of HTTP Digest authentication (RFC 7616, qop=auth), for simulated cameras."""

import hashlib
import hmac
import re
import secrets

_FIELD = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')
_MOST_NONCES = 256  # the oldest is forgotten first
_HASHES = {"MD5": "md5", "SHA-256": "sha256"}


class DigestGate:
    """Knows one account. A nonce is good until the gate forgets it, and each nonce count only once."""

    def __init__(self, *, username: str, password: str, realm: str, algorithm: str = "MD5") -> None:
        self._username = username
        self._password = password
        self._realm = realm
        self._algorithm = algorithm
        self._nonces: dict[str, set[str]] = {}

    def challenge(self, *, stale: bool = False) -> str:
        """Return a WWW-Authenticate header with a fresh nonce."""
        while len(self._nonces) >= _MOST_NONCES:
            del self._nonces[next(iter(self._nonces))]
        nonce = secrets.token_hex(16)
        self._nonces[nonce] = set()
        return f'Digest realm="{self._realm}", qop="auth", algorithm={self._algorithm}, nonce="{nonce}"' + (
            ", stale=true" if stale else ""
        )

    def forget_nonces(self) -> None:
        """Let every nonce given out be stale from now on, as cameras do after some minutes."""
        self._nonces.clear()

    def admits(self, method: str, authorization: str | None) -> bool:
        """Tell whether `authorization` answers one of the challenges, with a nonce count not seen yet."""
        if authorization is None or not authorization.lower().startswith("digest "):
            return False
        fields = {key: quoted or plain for key, quoted, plain in _FIELD.findall(authorization)}
        used = self._nonces.get(fields.get("nonce", ""))
        if used is None or fields.get("nc", "") in used or fields.get("username") != self._username:
            return False
        if not hmac.compare_digest(self._response(method, fields), fields.get("response", "")):
            return False
        used.add(fields.get("nc", ""))
        return True

    def _response(self, method: str, fields: dict[str, str]) -> str:
        account = self._hash(f"{self._username}:{self._realm}:{self._password}")
        request = self._hash(f"{method}:{fields.get('uri', '')}")
        parts = (account, *(fields.get(key, "") for key in ("nonce", "nc", "cnonce", "qop")), request)
        return self._hash(":".join(parts))

    def _hash(self, text: str) -> str:
        return hashlib.new(_HASHES[self._algorithm], text.encode()).hexdigest()
