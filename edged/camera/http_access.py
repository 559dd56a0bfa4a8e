"""One HTTP request to a camera, made whole or refused with a cause."""

import threading
import time
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

import requests
import urllib3.exceptions as urllib3_errors

from edged.camera.challenge import ChallengeAuth
from edged.camera.http_faults import fault_of
from edged.camera.port import CameraError, CameraFault
from edged.http_deadline import DeadlineAdapter
from edged.picture import what_it_begins_with
from edged.settings.model import CameraSettings

MAX_BODY_BYTES = 20 * 1024 * 1024  # a 12-megapixel JPEG at best quality; more is a stream
_TRIES = 3
_WHOLE_IN_TIMEOUTS = 3  # a connection, a challenge and the picture
_BUSY_PAUSE_S = 0.5  # Hikvision answers 503 while another client's picture is being encoded
_LOCKOUT_PAUSE_S = 30.0  # a wrong password is not repeated faster than this
_MAX_REDIRECTS = 3


class HttpAccess:
    """Requests to one camera with its credentials, its pace and its errors. Not for several threads."""

    def __init__(self, settings: CameraSettings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._session: requests.Session | None = None
        self._deadline = DeadlineAdapter()
        self._password: str | None = None
        self._not_before_s = 0.0
        self._refused_until_s = 0.0

    def fetch(self, method: str, url: str) -> tuple[bytes, float]:
        """Return the body of a 200 answer, at most MAX_BODY_BYTES, and when it was asked for (monotonic).

        A busy camera (503) and a connection that breaks off are tried again. Raises CameraError.
        """
        for tries_left in reversed(range(_TRIES)):
            self._keep_pace(url)
            try:
                asked_s = time.monotonic()
                return self._fetch_once(method, url), asked_s
            except CameraError as exc:
                if not tries_left or exc.fault not in (CameraFault.BUSY, CameraFault.BROKEN_OFF):
                    raise
                self._not_before_s = max(self._not_before_s, time.monotonic() + _BUSY_PAUSE_S)
        raise AssertionError("the last try returns or raises")

    def with_credentials(self, url: str) -> str:
        """Return `url` with user and password in it, as video libraries want them. Raises CameraError."""
        username, password = self._credentials(url)
        if username is None:
            return url
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        userinfo = f"{quote(username, safe='')}:{quote(password or '', safe='')}"
        return urlunsplit(parts._replace(netloc=f"{userinfo}@{host}"))

    def close(self) -> None:
        """Drop the connection; the next request opens a new one."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _keep_pace(self, url: str) -> None:
        if self._stop.wait(max(0.0, self._not_before_s - time.monotonic())):
            raise self._error(url, CameraFault.STOPPED, "stopped while waiting for the camera")
        self._not_before_s = time.monotonic() + self._settings.min_interval_s

    def _fetch_once(self, method: str, url: str) -> bytes:
        timeout_s = self._settings.timeout_s
        deadline_s = time.monotonic() + timeout_s
        # connecting, each challenge and the head are timed byte by byte only: the whole must end as well
        self._open(url)
        with self._deadline.within(_WHOLE_IN_TIMEOUTS * timeout_s) as is_late:
            try:
                with self._ask(method, url) as response:
                    body = self._body(response, url, deadline_s)
                    self._refuse_late(is_late.is_set(), url)
                    self._check_status(response, url, body)
                    return body
            except (requests.RequestException, urllib3_errors.HTTPError, OSError) as exc:
                self.close()
                self._refuse_late(is_late.is_set(), url)
                raise self._error(url, *fault_of(exc, timeout_s)) from exc

    def _refuse_late(self, is_late: bool, url: str) -> None:
        """A connection that was shut looks like one that the camera ended: the answer is not whole."""
        if is_late:
            what = f"did not end its answer in {_WHOLE_IN_TIMEOUTS * self._settings.timeout_s:g} s"
            raise self._error(url, CameraFault.TIMEOUT, what)

    def _ask(self, method: str, url: str) -> requests.Response:
        session = self._open(url)
        bare_url = _without_userinfo(url)
        for _ in range(_MAX_REDIRECTS + 1):
            response = session.request(
                method, bare_url, timeout=self._settings.timeout_s, stream=True, allow_redirects=False
            )
            if not response.is_redirect:
                return response
            target = urljoin(bare_url, response.headers["location"])
            response.close()
            if urlsplit(target).hostname != urlsplit(bare_url).hostname:
                host = urlsplit(target).hostname
                raise self._error(url, CameraFault.REDIRECTED, f"redirects to another host, {host}")
            bare_url = target
        raise self._error(url, CameraFault.REDIRECTED, f"redirects more than {_MAX_REDIRECTS} times")

    def _open(self, url: str) -> requests.Session:
        """Return the session; a new one when the password on disk has changed."""
        username, password = self._credentials(url)
        if self._session is None or password != self._password:
            self.close()
            self._session = requests.Session()
            self._deadline = DeadlineAdapter()
            for scheme in ("http://", "https://"):
                self._session.mount(scheme, self._deadline)
            self._session.trust_env = False  # no proxy and no .netrc on the way to a camera
            if username is not None:
                self._session.auth = ChallengeAuth(username, password or "")
            self._password = password
            self._refused_until_s = 0.0
        if time.monotonic() < self._refused_until_s:
            raise self._error(
                url, CameraFault.UNAUTHORIZED, "refused the login a moment ago, not asked again yet"
            )
        return self._session

    def _credentials(self, url: str) -> tuple[str | None, str | None]:
        parts = urlsplit(url)
        path = self._settings.password_file
        if self._settings.username is None:
            return (
                (unquote(parts.username), unquote(parts.password or "")) if parts.username else (None, None)
            )
        if path is None:
            return self._settings.username, unquote(parts.password or "")
        try:
            return self._settings.username, path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise self._error(url, CameraFault.PASSWORD_FILE, f"{path} cannot be read ({exc})") from exc

    def _body(self, response: requests.Response, url: str, deadline_s: float) -> bytes:
        """Read piece by piece: a timeout of the socket alone never ends a camera that drips bytes."""
        if "multipart" in response.headers.get("content-type", ""):
            raise self._error(url, CameraFault.TOO_LARGE, "sends an endless video stream, not a picture")
        body = bytearray()
        while piece := response.raw.read1(64 * 1024, decode_content=True):
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise self._error(url, CameraFault.TOO_LARGE, f"sent more than {MAX_BODY_BYTES} bytes")
            if time.monotonic() > deadline_s:
                what = f"sent only {len(body)} bytes in {self._settings.timeout_s:g} s"
                raise self._error(url, CameraFault.TIMEOUT, what)
        return bytes(body)

    def _check_status(self, response: requests.Response, url: str, body: bytes) -> None:
        status = response.status_code
        if 200 <= status < 300:
            return
        fault = {
            401: CameraFault.UNAUTHORIZED,
            403: CameraFault.UNAUTHORIZED,
            404: CameraFault.NOT_FOUND,
            503: CameraFault.BUSY,
        }.get(status, CameraFault.HTTP_STATUS)
        if fault is CameraFault.UNAUTHORIZED and self._password is not None:
            self._refused_until_s = time.monotonic() + _LOCKOUT_PAUSE_S
        words = f", saying {what_it_begins_with(body)}" if body and fault is CameraFault.HTTP_STATUS else ""
        raise self._error(url, fault, f"answered {status} {response.reason}{words}")

    def _error(self, url: str, fault: CameraFault, what: str) -> CameraError:
        return CameraError(self._settings.name, url, fault, what)


def _without_userinfo(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
