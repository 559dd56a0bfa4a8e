"""The cloud's API as the box calls it. Every way to fail becomes a CloudError, here and nowhere else."""

import gzip
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from pydantic import ValidationError

from edged import __version__
from edged.domain.masking import mask_in
from edged.exchange import Answer, Bounds, ExchangeError, ExchangeFault, HttpClient
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
_ENROL = "enrol this box again: `edged enrol --config FILE --code CODE --replace`"
_PORTAL = "check uplink.cloud_url, and whether a captive portal or proxy sits on the line"

AnswerT = TypeVar("AnswerT", bound=Payload)


# What the box says about an exchange that failed: the error, and what a technician can do.
_FAULTS: dict[ExchangeFault, tuple[type[CloudError], str]] = {
    ExchangeFault.UNSENDABLE: (CloudDeniedError, _ENROL),
    ExchangeFault.TLS: (CloudUnreachableError, "check uplink.ca_file, and this box's clock (timedatectl)"),
    ExchangeFault.TIMEOUT: (
        CloudUnreachableError,
        "check the 4G signal; raise uplink.timeout_s on a slow line",
    ),
    ExchangeFault.BAD_ANSWER: (CloudNonsenseError, _PORTAL),
    ExchangeFault.TOO_LARGE: (CloudNonsenseError, _PORTAL),
}
_OTHER_FAULT = (CloudUnreachableError, "check SIM, antenna and uplink.cloud_url")


class CloudClient:
    """One session with the cloud. Use from one thread; close it, or use it in a `with`."""

    def __init__(self, settings: UplinkSettings) -> None:
        self._url = settings.cloud_url.rstrip("/")
        self._bounds = Bounds(
            deadline_s=_WHOLE_IN_TIMEOUTS * settings.timeout_s,
            wait_s=settings.timeout_s,
            max_bytes=MAX_ANSWER_BYTES,
        )
        self._client = HttpClient(f"edged/{__version__}", ca_file=settings.ca_file)

    def __enter__(self) -> "CloudClient":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

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

    def reach(self) -> datetime | None:
        """Make sure that a cloud answers at this address; return its time in UTC. Raises CloudError."""
        answer = self._ask("GET", "/healthz", b"", {}, None)
        if not answer.body.startswith(b"{"):
            raise self._nonsense(_quoted(answer.body) or "an empty answer")
        try:
            # RFC 9110, 6.6.1: a server with a clock sends Date
            return parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)
        except (KeyError, TypeError, ValueError):
            return None

    def _call(self, method: str, path: str, body: bytes, headers: dict[str, str], token: str | None) -> bytes:
        return self._ask(method, path, body, headers, token).body

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str], token: str | None) -> Answer:
        try:
            # redirects are not followed: the cloud never redirects, captive portals do
            answer = self._client.ask(
                method,
                self._url + path,
                bounds=self._bounds,
                token=token,
                body=body,
                headers={"Accept": "application/json", **headers},
            )
        except ExchangeError as error:
            kind, remedy = _FAULTS.get(error.fault, _OTHER_FAULT)
            raise kind(self._url, error.cause, remedy) from error
        self._judge(answer)
        return answer

    def _judge(self, answer: Answer) -> None:
        status = answer.status
        if status in (200, 201, 204):
            return
        said = f"answered {status} {_quoted(answer.body)}".rstrip()
        if status in (401, 403):
            raise CloudDeniedError(self._url, said, _ENROL)
        if status == 429 or status >= 500:
            raise CloudBusyError(
                self._url,
                said,
                "nothing is lost, the box tries again by itself; tell the operator if it lasts",
                _retry_after_s(answer.headers.get("Retry-After")),
            )
        if 300 <= status < 400:
            raise self._nonsense(f"a redirect to {answer.headers.get('Location', 'nowhere')!r}")
        raise CloudRefusedError(self._url, said, "compare the versions of box and cloud")

    def _parsed(self, kind: type[AnswerT], content: bytes) -> AnswerT:
        try:
            return kind.model_validate_json(content)
        except ValidationError as error:
            raise self._nonsense(_quoted(content) or "an empty answer") from error

    def _nonsense(self, got: str) -> CloudNonsenseError:
        return CloudNonsenseError(self._url, f"not the cloud's answer, got {got}", _PORTAL)


def _quoted(content: bytes) -> str:
    # an answer that refuses a reading may repeat its plate; what is said here goes to logs and health
    text = mask_in(" ".join(content[: 2 * _MAX_QUOTED].decode("utf-8", "replace").split()))
    return repr(text[:_MAX_QUOTED]) if text else ""


def _retry_after_s(header: str | None) -> float | None:
    """Return Retry-After in seconds; its other form, a date, is ignored: clocks differ."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None
