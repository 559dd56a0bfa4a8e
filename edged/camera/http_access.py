"""One HTTP request to a camera, made whole or refused with a cause."""

import threading
import time
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from edged import __version__
from edged.camera.challenge import ChallengeAuth
from edged.camera.port import CameraError, CameraFault
from edged.exchange import Answer, Bounds, ExchangeError, ExchangeFault, HttpClient
from edged.picture import what_it_begins_with
from edged.settings.model import CameraSettings

MAX_BODY_BYTES = 20 * 1024 * 1024  # a 12-megapixel JPEG at best quality; more is a stream
_TRIES = 3
_WHOLE_IN_TIMEOUTS = 3  # a connection, a challenge and the picture
_BUSY_PAUSE_S = 0.5  # Hikvision answers 503 while another client's picture is being encoded
_LOCKOUT_PAUSE_S = 30.0  # a wrong password is not repeated faster than this
_MAX_REDIRECTS = 3

# A camera that is busy, or whose connection was in disorder, gives a picture on the next one.
_PASSING = (CameraFault.BUSY, CameraFault.BROKEN_OFF, CameraFault.BAD_ANSWER)

_FAULTS: dict[ExchangeFault, CameraFault] = {
    ExchangeFault.BAD_ADDRESS: CameraFault.NOT_FOUND,
    ExchangeFault.UNSENDABLE: CameraFault.UNAUTHORIZED,
    ExchangeFault.UNKNOWN_HOST: CameraFault.UNKNOWN_HOST,
    ExchangeFault.REFUSED: CameraFault.REFUSED,
    ExchangeFault.UNREACHABLE: CameraFault.BROKEN_OFF,
    ExchangeFault.TLS: CameraFault.TLS,
    ExchangeFault.TIMEOUT: CameraFault.TIMEOUT,
    ExchangeFault.BROKEN_OFF: CameraFault.BROKEN_OFF,
    ExchangeFault.CUT_OFF: CameraFault.CUT_OFF,
    ExchangeFault.BAD_ANSWER: CameraFault.BAD_ANSWER,
    ExchangeFault.TOO_LARGE: CameraFault.TOO_LARGE,
    ExchangeFault.REDIRECTED: CameraFault.REDIRECTED,
}


class HttpAccess:
    """Requests to one camera with its credentials, its pace and its errors. Not for several threads."""

    def __init__(self, settings: CameraSettings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._client: HttpClient | None = None
        self._bounds = Bounds(
            deadline_s=_WHOLE_IN_TIMEOUTS * settings.timeout_s,
            wait_s=settings.timeout_s,
            max_bytes=MAX_BODY_BYTES,
        )
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
                if not tries_left or exc.fault not in _PASSING:
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
        """Drop the connection and what the camera wanted to be remembered (cookies, nonces)."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _keep_pace(self, url: str) -> None:
        if self._stop.wait(max(0.0, self._not_before_s - time.monotonic())):
            raise self._error(url, CameraFault.STOPPED, "stopped while waiting for the camera")
        self._not_before_s = time.monotonic() + self._settings.min_interval_s

    def _fetch_once(self, method: str, url: str) -> bytes:
        client = self._open(url)
        try:
            answer = client.ask(method, _without_userinfo(url), bounds=self._bounds, redirects=_MAX_REDIRECTS)
        except ExchangeError as exc:
            self.close()
            raise self._error(url, _FAULTS[exc.fault], exc.cause) from exc
        self._check_status(answer, url)
        return answer.body

    def _open(self, url: str) -> HttpClient:
        """Return the client; a new one when the password on disk has changed."""
        username, password = self._credentials(url)
        if self._client is None or password != self._password:
            self.close()
            self._client = HttpClient(
                f"edged/{__version__}",
                authorize=None if username is None else ChallengeAuth(username, password or ""),
                direct=True,  # no proxy on the way to a camera
            )
            self._password = password
            self._refused_until_s = 0.0
        if time.monotonic() < self._refused_until_s:
            raise self._error(
                url, CameraFault.UNAUTHORIZED, "refused the login a moment ago, not asked again yet"
            )
        return self._client

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

    def _check_status(self, answer: Answer, url: str) -> None:
        if 200 <= answer.status < 300:
            return
        fault = {
            401: CameraFault.UNAUTHORIZED,
            403: CameraFault.UNAUTHORIZED,
            404: CameraFault.NOT_FOUND,
            503: CameraFault.BUSY,
        }.get(answer.status, CameraFault.HTTP_STATUS)
        if fault is CameraFault.UNAUTHORIZED and self._password is not None:
            self._refused_until_s = time.monotonic() + _LOCKOUT_PAUSE_S
        words = ""
        if answer.body and fault is CameraFault.HTTP_STATUS:
            words = f", saying {what_it_begins_with(answer.body)}"
        raise self._error(url, fault, f"answered {answer.status} {answer.reason}{words}")

    def _error(self, url: str, fault: CameraFault, what: str) -> CameraError:
        return CameraError(self._settings.name, url, fault, what)


def _without_userinfo(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
