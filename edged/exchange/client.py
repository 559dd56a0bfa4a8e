"""Requests to a peer: each one whole, or an ExchangeError."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from edged.exchange.deadline import Bounds, current, within
from edged.exchange.faults import LIBRARY_ERRORS, ExchangeError, ExchangeFault, error_of
from edged.exchange.sockets import TimedHttpConnection, TimedHttpsConnection

Authorize = Callable[[requests.PreparedRequest], requests.PreparedRequest]

_PIECE_BYTES = 64 * 1024
_TIMED: dict[type, type] = {HTTPConnection: TimedHttpConnection, HTTPSConnection: TimedHttpsConnection}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer, of whatever status. `headers` are looked up in either case."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Asks peers, and keeps connections open between requests. Use from one thread; close it.

    `authorize`: adds credentials to each request, and may answer challenges. `ca_file`: the only authority to
    trust, None: the system's. `direct`: no proxy and no ~/.netrc of the environment.
    """

    def __init__(
        self,
        user_agent: str,
        *,
        authorize: Authorize | None = None,
        ca_file: Path | None = None,
        direct: bool = False,
    ) -> None:
        # always something: without any, requests would send what a ~/.netrc holds for this host
        self._authorize = authorize or _unchanged
        self._ca_file = ca_file
        self._session = requests.Session()
        self._session.trust_env = not direct
        self._session.headers["User-Agent"] = user_agent
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _BoundedAdapter())

    def __enter__(self) -> "HttpClient":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the next request opens a new one."""
        self._session.close()

    def ask(
        self,
        method: str,
        url: str,
        *,
        bounds: Bounds,
        token: str | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        redirects: int = 0,
    ) -> Answer:
        """Send one request and return the answer, of whatever status. Raises ExchangeError.

        `token`: sent as a bearer token. `redirects`: how many are followed, on the same host only; with 0 the
        answer that redirects is returned.
        """
        authorize = self._authorize if token is None else _bearer(token)
        if self._ca_file is not None and not self._ca_file.is_file():
            raise ExchangeError(ExchangeFault.TLS, f"the CA file {self._ca_file} is not there")
        with within(bounds) as deadline:
            try:
                for _ in range(redirects + 1):
                    response = self._send(method, url, authorize, body, headers)
                    if not redirects or not response.is_redirect:
                        return _answer(response)
                    url = _same_host(url, response.headers["location"])
                raise ExchangeError(ExchangeFault.REDIRECTED, f"redirects more than {redirects} times")
            except ExchangeError:
                self.close()  # the rest of a failed answer may wait on its connection
                raise
            except LIBRARY_ERRORS as exc:
                self.close()
                raise error_of(exc, deadline) from exc

    def _send(
        self,
        method: str,
        url: str,
        authorize: Authorize,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> requests.Response:
        return self._session.request(
            method,
            url,
            data=body,
            headers=headers,
            # as `auth`, not as a header: requests would let a ~/.netrc overrule the header
            auth=authorize,
            timeout=current().wait_s,  # the sockets know better; this is for a proxy's own
            # here, not on the session, where REQUESTS_CA_BUNDLE would overrule it
            verify=None if self._ca_file is None else str(self._ca_file),
            allow_redirects=False,
            stream=True,
        )


class _BoundedAdapter(HTTPAdapter):
    """Opens timed connections, and reads each answer whole, the answer to a refused login too."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _TIMED.get(pool.ConnectionCls, pool.ConnectionCls)
        return pool

    def close(self) -> None:
        """Close the connections now: urllib3 leaves that to the garbage collector, which an error delays."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in tuple(manager.pools.keys()):
                manager.pools[key].close()
        super().close()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().send(request, *args, **kwargs)
        try:
            # where requests itself keeps a body that was read: whoever looks at it finds it read already
            response._content = _read(response, current().bounds.max_bytes)
            response._content_consumed = True  # type: ignore[attr-defined]
        except BaseException:
            response.close()
            raise
        response.close()
        return response


def _read(response: requests.Response, max_bytes: int) -> bytes:
    if "multipart/x-mixed-replace" in response.headers.get("content-type", ""):
        raise ExchangeError(ExchangeFault.TOO_LARGE, "sends an endless video stream (multipart)")
    body = bytearray()
    # read1: what has come so far; read and iter_content would wait for a whole piece, however slow
    while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
        body += piece
        if len(body) > max_bytes:
            raise ExchangeError(ExchangeFault.TOO_LARGE, f"sent an answer above {max_bytes} bytes")
    return bytes(body)


def _answer(response: requests.Response) -> Answer:
    return Answer(
        status=response.status_code,
        reason=response.reason or "",
        headers=response.headers,
        body=response.content,
    )


def _same_host(url: str, location: str) -> str:
    """Return the target of a redirect; raises ExchangeError for another host, and from https to http."""
    target = urljoin(url, location)
    before, after = urlsplit(url), urlsplit(target)
    if after.hostname != before.hostname:
        raise ExchangeError(ExchangeFault.REDIRECTED, f"redirects to another host, {after.hostname}")
    if before.scheme == "https" and after.scheme != "https":
        raise ExchangeError(ExchangeFault.REDIRECTED, "redirects to an address without TLS")
    return target


def _bearer(token: str) -> Authorize:
    """Return what adds a bearer token; raises ExchangeError for one that a header cannot carry."""
    if not token:
        raise ExchangeError(ExchangeFault.UNSENDABLE, "the bearer token is empty")
    for at, character in enumerate(token, 1):
        if not "!" <= character <= "~":
            raise ExchangeError(
                ExchangeFault.UNSENDABLE,
                f"character {at} of the bearer token cannot be sent in an HTTP header",
            )

    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorize


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
