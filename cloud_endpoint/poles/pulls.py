"""Snapshots pulled from reachable poles over HTTP; every failure is a `PullFailed` with its cause."""

import requests
from pydantic import ValidationError
from requests.auth import AuthBase

from cloud_endpoint.base.errors import CloudError
from edged.wire import Snapshot

LARGEST_ANSWER_BYTES = 64 * 1024
LARGEST_PICTURE_BYTES = 4 * 1024 * 1024


class _Bearer(AuthBase):
    """As `auth`, not as a header: requests would let a ~/.netrc overrule the header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class PullFailed(CloudError):
    """A pole that could not be reached, refused, or answered nonsense."""


def capture(url: str, token: str, berth_no: str, nonce: str, timeout_s: float) -> Snapshot:
    """Have the pole take a new picture of a berth (POST .../captures); raises PullFailed."""
    return _snapshot("POST", f"{url}/v1/berths/{berth_no}/captures", token, nonce, timeout_s)


def latest(url: str, token: str, berth_no: str, nonce: str, timeout_s: float) -> Snapshot:
    """Return the pole's latest snapshot of a berth (GET .../snapshot); raises PullFailed."""
    return _snapshot("GET", f"{url}/v1/berths/{berth_no}/snapshot", token, nonce, timeout_s)


def picture(url: str, token: str, sha256: str, timeout_s: float) -> bytes:
    """Return an evidence picture; raises PullFailed. The caller checks the hash."""
    return _fetch("GET", f"{url}/v1/evidence/{sha256}.jpg", token, None, timeout_s, LARGEST_PICTURE_BYTES)


def _snapshot(method: str, url: str, token: str, nonce: str, timeout_s: float) -> Snapshot:
    body = _fetch(method, url, token, nonce, timeout_s, LARGEST_ANSWER_BYTES)
    try:
        return Snapshot.model_validate_json(body)
    except ValidationError as exc:
        raise PullFailed(f"{url}: not a snapshot: {exc.errors()[0]['msg']}") from exc


def _fetch(method: str, url: str, token: str, nonce: str | None, timeout_s: float, most_bytes: int) -> bytes:
    try:
        with requests.request(
            method,
            url,
            params={"nonce": nonce} if nonce and method == "GET" else None,
            json={"nonce": nonce} if nonce and method == "POST" else None,
            auth=_Bearer(token),
            timeout=timeout_s,
            allow_redirects=False,  # the token is this pole's alone
            stream=True,
        ) as response:
            body: bytes = response.raw.read(most_bytes + 1, decode_content=True)
            if response.status_code != 200:
                raise PullFailed(f"{url}: HTTP {response.status_code}")
    except (requests.RequestException, OSError) as exc:
        raise PullFailed(f"{url}: {exc}") from exc
    if len(body) > most_bytes:
        raise PullFailed(f"{url}: answer larger than {most_bytes} bytes")
    return body
