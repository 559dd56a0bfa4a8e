"""Snapshots pulled from reachable poles over HTTP; every failure is a `PullFailed` with its cause."""

import json
from http import HTTPStatus
from urllib.parse import urlencode

from pydantic import ValidationError

from cloud_endpoint.base.errors import CloudError
from edged import __version__
from edged.exchange import Bounds, ExchangeError, HttpClient
from edged.wire import Snapshot

USER_AGENT = f"edged-cloud/{__version__}"
LARGEST_ANSWER_BYTES = 64 * 1024
LARGEST_PICTURE_BYTES = 4 * 1024 * 1024


class PullFailed(CloudError):
    """A pole that could not be reached, refused, or answered nonsense."""


def capture(url: str, token: str, berth_no: str, nonce: str, timeout_s: float) -> Snapshot:
    """Have the pole take a new picture of a berth (POST .../captures); raises PullFailed."""
    url = f"{url}/v1/berths/{berth_no}/captures"
    content = json.dumps({"nonce": nonce}).encode()
    return _parsed(url, _fetch("POST", url, token, timeout_s, LARGEST_ANSWER_BYTES, content))


def latest(url: str, token: str, berth_no: str, nonce: str, timeout_s: float) -> Snapshot:
    """Return the pole's latest snapshot of a berth (GET .../snapshot); raises PullFailed."""
    url = f"{url}/v1/berths/{berth_no}/snapshot?{urlencode({'nonce': nonce})}"
    return _parsed(url, _fetch("GET", url, token, timeout_s, LARGEST_ANSWER_BYTES))


def picture(url: str, token: str, sha256: str, timeout_s: float) -> bytes:
    """Return an evidence picture; raises PullFailed. The caller checks the hash."""
    return _fetch("GET", f"{url}/v1/evidence/{sha256}.jpg", token, timeout_s, LARGEST_PICTURE_BYTES)


def _parsed(url: str, body: bytes) -> Snapshot:
    try:
        return Snapshot.model_validate_json(body)
    except ValidationError as exc:
        raise PullFailed(f"{url}: not a snapshot: {exc.errors()[0]['msg']}") from exc


def _fetch(
    method: str, url: str, token: str, timeout_s: float, max_bytes: int, content: bytes | None = None
) -> bytes:
    """Return the body of a 200 answer. Redirects are refused: the token is this pole's alone."""
    try:
        with HttpClient(USER_AGENT) as client:
            answer = client.ask(
                method,
                url,
                bounds=Bounds(deadline_s=timeout_s, max_bytes=max_bytes),
                token=token,
                body=content,
                headers=None if content is None else {"Content-Type": "application/json"},
            )
    except ExchangeError as exc:
        raise PullFailed(f"{url}: {exc.cause}") from exc
    if answer.status != HTTPStatus.OK:
        raise PullFailed(f"{url}: HTTP {answer.status}")
    return answer.body
