"""The cloud's API as the box calls it. Every way to fail becomes a CloudError, here and nowhere else."""

import gzip
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import requests
from pydantic import ValidationError
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, ReadTimeoutError

from edged import __version__
from edged.http_deadline import DeadlineAdapter
from edged.settings import UplinkSettings
from edged.uplink.errors import (
    CloudBusyError,
    CloudDeniedError,
    CloudError,
    CloudNonsenseError,
    CloudRefusedError,
    CloudUnreachableError,
)
from edged.wire import EnrolmentAnswer, EnrolmentRequest, SyncAnswer, SyncRequest
from edged.wire.base import Payload

MAX_ANSWER_BYTES = 1024 * 1024
_WHOLE_IN_TIMEOUTS = 4  # room for a picture on a slow line; the worker's own deadline is longer
_MAX_QUOTED = 160

Answer = TypeVar("Answer", bound=Payload)


class _Bearer(AuthBase):
    """As `auth`, not as a header: requests would let a ~/.netrc overrule the header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Cloud:
    """One session with the cloud. Use from one thread; close it, or use it in a `with`."""

    def __init__(self, settings: UplinkSettings) -> None:
        self._url = settings.cloud_url.rstrip("/")
        self._timeout_s = settings.timeout_s
        self._session = requests.Session()
        self._deadline = DeadlineAdapter()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, self._deadline)
        self._session.headers["User-Agent"] = f"edged/{__version__}"
        self._ca_file = str(settings.ca_file) if settings.ca_file is not None else None

    def __enter__(self) -> "Cloud":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._session.close()

    def sync(self, device_id: str, token: str, request: SyncRequest) -> SyncAnswer:
        """Deliver a batch; return verdicts and what the cloud wants. Raises CloudError."""
        body = gzip.compress(request.model_dump_json().encode(), compresslevel=6)
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        content = self._call("POST", f"/v1/devices/{device_id}/events", body, headers, token)
        return self._parsed(SyncAnswer, content)

    def upload(self, device_id: str, token: str, sha256: str, jpeg: bytes) -> None:
        """Deliver an evidence picture that the cloud asked for. Raises CloudError."""
        headers = {"Content-Type": "image/jpeg"}
        self._call("PUT", f"/v1/devices/{device_id}/evidence/{sha256}", jpeg, headers, token)

    def enrol(self, request: EnrolmentRequest) -> EnrolmentAnswer:
        """Trade a one-time code for credentials. Raises CloudError."""
        headers = {"Content-Type": "application/json"}
        content = self._call("POST", "/v1/enrolments", request.model_dump_json().encode(), headers, None)
        return self._parsed(EnrolmentAnswer, content)

    def reach(self) -> None:
        """Make sure that a cloud answers at this address. Raises CloudError."""
        content = self._call("GET", "/healthz", b"", {}, None)
        if not content.startswith(b"{"):
            raise self._nonsense(_quoted(content) or "an empty answer")

    def _call(self, method: str, path: str, body: bytes, headers: dict[str, str], token: str | None) -> bytes:
        deadline_s = time.monotonic() + self._timeout_s
        with (
            self._translated(),
            self._in_time(),
            self._session.request(
                method,
                self._url + path,
                data=body,
                headers={"Accept": "application/json", **headers},
                auth=_Bearer(token) if token else None,
                # connecting and waiting for the first byte share the time
                timeout=(self._timeout_s / 3, self._timeout_s * 2 / 3),
                # here, not on the session, where REQUESTS_CA_BUNDLE would overrule it
                verify=self._ca_file,
                allow_redirects=False,  # the cloud never redirects; captive portals do
                stream=True,
            ) as response,
        ):
            content = self._content(response, deadline_s)
            self._judge(response, content)
            return content

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """Shut the connection when even sending and the answer's head do not end."""
        whole_s = _WHOLE_IN_TIMEOUTS * self._timeout_s
        with self._deadline.within(whole_s) as is_late:
            try:
                yield
            except (requests.RequestException, HTTPError, OSError, CloudError):
                if not is_late.is_set():
                    raise
                raise self._endless(whole_s) from None
            if is_late.is_set():  # a head that was cut off may look whole
                raise self._endless(whole_s)

    def _endless(self, within_s: float) -> CloudUnreachableError:
        return CloudUnreachableError(
            self._url,
            f"the answer did not end within {within_s:.0f} s",
            "check the 4G signal; raise uplink.timeout_s on a slow line",
        )

    def _content(self, response: requests.Response, deadline_s: float) -> bytes:
        """Read the body, bounded in size and time: the session's timeout is per packet only."""
        content = bytearray()
        # read1: what has come so far; read and iter_content would wait for a whole chunk, however slow
        while chunk := response.raw.read1(16 * 1024, decode_content=True):
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise self._nonsense(f"an answer above {MAX_ANSWER_BYTES} bytes")
            if time.monotonic() > deadline_s:
                raise self._endless(self._timeout_s)
        return bytes(content)

    def _judge(self, response: requests.Response, content: bytes) -> None:
        status = response.status_code
        if status in (200, 201, 204):
            return
        said = f"answered {status} {_quoted(content)}".rstrip()
        if status in (401, 403):
            raise CloudDeniedError(
                self._url, said, "enrol this box again: `edged enrol --config FILE --code CODE --replace`"
            )
        if status == 429 or status >= 500:
            raise CloudBusyError(
                self._url,
                said,
                "nothing is lost, the box tries again by itself; tell the operator if it lasts",
                _retry_after_s(response.headers.get("Retry-After")),
            )
        if 300 <= status < 400:
            raise self._nonsense(f"a redirect to {response.headers.get('Location', 'nowhere')!r}")
        raise CloudRefusedError(self._url, said, "compare the versions of box and cloud")

    def _parsed(self, answer: type[Answer], content: bytes) -> Answer:
        try:
            return answer.model_validate_json(content)
        except ValidationError as error:
            raise self._nonsense(_quoted(content) or "an empty answer") from error

    def _nonsense(self, got: str) -> CloudNonsenseError:
        return CloudNonsenseError(
            self._url,
            f"not the cloud's answer, got {got}",
            "check uplink.cloud_url, and whether a captive portal or proxy sits on the line",
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except CloudError:
            raise
        except requests.exceptions.SSLError as error:
            raise CloudUnreachableError(
                self._url,
                f"TLS was refused ({_innermost(error)})",
                "check uplink.ca_file, and this box's clock (timedatectl)",
            ) from error
        except (requests.Timeout, ReadTimeoutError) as error:
            raise CloudUnreachableError(
                self._url,
                f"no answer within {self._timeout_s:.0f} s",
                "check the 4G signal; raise uplink.timeout_s on a slow line",
            ) from error
        except (requests.RequestException, HTTPError, OSError) as error:
            raise CloudUnreachableError(
                self._url, f"{_innermost(error)}", "check SIM, antenna and uplink.cloud_url (edged diag)"
            ) from error


def _quoted(content: bytes) -> str:
    text = " ".join(content[: 2 * _MAX_QUOTED].decode("utf-8", "replace").split())
    return repr(text[:_MAX_QUOTED]) if text else ""


def _innermost(error: BaseException) -> str:
    """Return the first cause's text without the library's wrapping and object addresses."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return re.sub(r"<[^>]*>:? ?|\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


def _retry_after_s(header: str | None) -> float | None:
    """Return Retry-After in seconds; its other form, a date, is ignored: clocks differ."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


def picture_bytes(path: Path) -> bytes | None:
    """Return a picture, None when it was evicted meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
