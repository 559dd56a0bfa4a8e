"""The worker that empties the outbox: at least once, whatever the line and the cloud do."""

import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from prometheus_client import Counter

from edged import __version__
from edged.domain.delivery import OutboxUnavailable, PendingEvent
from edged.domain.health import Finding, HealthStatus
from edged.domain.timekeeping import Stamp
from edged.domain.trouble import Trouble
from edged.settings import UplinkSettings
from edged.uplink.cloud import CloudClient
from edged.uplink.courier import Courier
from edged.uplink.credentials import Credentials, CredentialsFile
from edged.uplink.errors import (
    CloudDeniedError,
    CloudError,
    CloudRefusedError,
    CredentialsError,
    StoppingError,
)
from edged.uplink.retry import Retry
from edged.wire import (
    WIRE_VERSION,
    BerthStatus,
    CaptureRequest,
    DeviceHealth,
    EventVerdict,
    SyncAnswer,
    SyncRequest,
    Verdict,
)

SYNCS = Counter("edged_syncs", "Exchanges with the cloud", ["outcome"])
UPLOADS = Counter("edged_uploads", "Evidence pictures that the cloud asked for", ["outcome"])

SHORTEST_POLL_S = 0.5
LONGEST_POLL_S = 60.0
CLOCK_TOLERANCE_S = 30.0
_SLICE_S = 0.5  # how soon a stop is noticed
_REMEMBERED_REQUESTS = 256
# Events that the cloud refused are tried again: it may have been mended meanwhile.
_TRY_SET_ASIDE_EVERY_S = 24 * 3600.0
# Uploads that fail one after another before health reports it: one failure is usual on a 4G line.
_FAILED_UPLOADS = 3

log = structlog.get_logger(__name__)


class Outbox(Protocol):
    """What the uplink needs of the store. Each call may raise OutboxUnavailable.

    `grown` is set when an event came in; a line that failed keeps its pause.
    """

    grown: threading.Event

    def pending(self, limit: int, now: Stamp, *, fresh_only: bool = False) -> list[PendingEvent]: ...
    def apply_verdicts(self, verdicts: Sequence[EventVerdict]) -> None: ...
    def try_set_aside(self, *, once_only: bool) -> int: ...
    def want_evidence(self, digests: Sequence[str]) -> tuple[str, ...]: ...
    def wanted_evidence(self, limit: int) -> list[str]: ...
    def picture(self, sha256: str) -> bytes | None: ...
    def evidence_done(self, sha256: str) -> None: ...
    def evidence_postponed(self, sha256: str) -> None: ...


class Pole(Protocol):
    """What the uplink needs of the berths behind it; nothing of it blocks."""

    def health(self) -> DeviceHealth: ...
    def berths(self) -> list[BerthStatus]: ...
    def carry_out(self, request: CaptureRequest, on_lost: Callable[[], None]) -> None:
        """Take the capture that the cloud asks for; each request comes once.

        `on_lost` is called, from any thread, when the answer could not be stored: the request may come again.
        """


class Uplink:
    """A worker: run it in one thread; everything else may be called from any thread.

    Without credentials it looks for them until they are there.
    """

    name = "uplink"

    def __init__(
        self,
        settings: UplinkSettings,
        credentials: CredentialsFile,
        outbox: Outbox,
        pole: Pole,
        *,
        clock: Callable[[], Stamp],
        rng: random.Random | None = None,
    ) -> None:
        self.last_progress_s = time.monotonic()
        # an exchange (4 timeouts at most), and a store that is slow
        self.deadline_s = 120.0 + 4 * settings.timeout_s
        self.clock_offset_s: float | None = None  # the cloud's clock minus ours
        self._cloud_time: tuple[datetime, float] | None = None  # and when it was so, monotonic
        self._settings = settings
        self._credentials = credentials
        self._outbox = outbox
        self._pole = pole
        self._clock = clock
        self._problems: dict[str, Finding] = {}
        self._stop = threading.Event()
        rng = rng or random.Random()
        self._line = Retry(rng)  # after a failed exchange
        self._kept = Retry(rng)  # for events that the cloud asked to keep
        self._uploads = Retry(rng)
        self._store = Retry(rng)  # after a store that could not be used
        self._has_accepted = False  # since events that were set aside were last tried again
        self._try_set_aside_at_s = 0.0
        self._next_poll_s = 0.0
        self._requests_seen: OrderedDict[str, None] = OrderedDict()

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What is wrong now between the box and the cloud."""
        return tuple(self._problems.copy().values())

    def cloud_utc(self, monotonic_s: float) -> datetime | None:
        """Return the cloud's time at a moment of this boot, None before the first exchange."""
        if self._cloud_time is None:
            return None
        server_time, at_s = self._cloud_time
        return server_time + timedelta(seconds=monotonic_s - at_s)

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set; what is left waits in the outbox for the next start."""
        self._stop = stop
        with CloudClient(self._settings) as cloud:
            self._cloud = cloud
            self._courier = Courier(self._exchange, self._apply_verdicts)
            while not stop.is_set():
                self.last_progress_s = time.monotonic()
                self._pause(self._turn())

    def _pause(self, wait_s: float) -> None:
        """Wait, in slices that show progress; a new event ends it unless the line has failed."""
        end_s = time.monotonic() + wait_s
        while not self._stop.is_set() and (left_s := end_s - time.monotonic()) > 0:
            self.last_progress_s = time.monotonic()
            if self._line.failures:
                self._stop.wait(min(left_s, _SLICE_S))
            elif self._outbox.grown.wait(min(left_s, _SLICE_S)):
                break

    def _turn(self) -> float:
        """Do the next thing; return how long to wait after it."""
        self._outbox.grown.clear()
        try:
            if not self._enrolled():
                return self._settings.poll_interval_s
            return self._next_step()
        except StoppingError:
            return 0.0
        except CloudError as error:
            self._failed(error)
        except OutboxUnavailable as error:
            self._store_failed(error)
            return 0.0
        return self._line.wait_s

    def _store_failed(self, error: OutboxUnavailable) -> None:
        """Leave the store alone for a while, which reports to health itself; heartbeats go on."""
        log.info("outbox unavailable", problem=str(error))  # the store reports why, at its own level
        self._store.failed()

    def _enrolled(self) -> bool:
        """Tell whether there are credentials; look again when there are none or the cloud denied them."""
        if self._credentials.current is None or "denied" in self._problems:
            try:
                self._credentials.read()
            except CredentialsError as error:
                self._report("credentials", error.trouble)
        return self._credentials.current is not None

    def _next_step(self) -> float:
        """Send events or a heartbeat; if neither is due, a picture; return how long nothing is due."""
        fresh_only = self._kept.wait_s > 0
        events = self._pending(fresh_only)
        poll_wait_s = max(0.0, self._next_poll_s - time.monotonic())
        if events or not poll_wait_s:
            if self._courier.deliver(events):
                self._kept.failed()
            elif not fresh_only:
                self._kept.succeeded()
            self._try_set_aside()
            return 0.0
        can_upload = not self._store.wait_s and not self._uploads.wait_s
        if can_upload:
            if wanted := self._outbox.wanted_evidence(1):
                self._upload(wanted[0])
                return 0.0
            self._problems.pop("uploads", None)  # the picture that failed has been dropped
        waits_s = (poll_wait_s, self._kept.wait_s, self._uploads.wait_s, self._store.wait_s)
        return min(wait_s for wait_s in waits_s if wait_s)

    def _pending(self, fresh_only: bool) -> list[PendingEvent]:
        """Return the next batch; none while the store cannot be used, so that a heartbeat still goes."""
        if self._store.wait_s:
            return []
        limit = self._courier.limit(self._settings.batch_size)
        try:
            events = self._outbox.pending(limit, self._clock(), fresh_only=fresh_only)
        except OutboxUnavailable as error:
            self._store_failed(error)
            return []
        self._store.succeeded()
        return events

    def _apply_verdicts(self, verdicts: Sequence[EventVerdict]) -> None:
        self._outbox.apply_verdicts(verdicts)
        self._has_accepted |= any(verdict.verdict is Verdict.ACCEPTED for verdict in verdicts)

    def _try_set_aside(self) -> None:
        """Try refused events again: after the next accepted batch, and once a day."""
        now_s = time.monotonic()
        is_daily = now_s >= self._try_set_aside_at_s
        if self._store.wait_s or not (is_daily or self._has_accepted):
            return
        count = self._outbox.try_set_aside(once_only=not is_daily)
        self._has_accepted = False
        if is_daily:
            self._try_set_aside_at_s = now_s + _TRY_SET_ASIDE_EVERY_S
        if count:
            log.info("set-aside events are tried again", count=count)

    def _exchange(self, events: Sequence[PendingEvent]) -> SyncAnswer:
        """Do one request, and act on all of its answer but the verdicts."""
        if self._stop.is_set():
            raise StoppingError("", "the daemon stops", "")
        self.last_progress_s = time.monotonic()
        credentials = self._known_credentials()
        sent = self._clock()
        request = SyncRequest(
            wire_version=WIRE_VERSION,
            sent_at=sent.utc,
            clock_synced=sent.clock_synced,
            software_version=__version__,
            health=self._pole.health(),
            berths=tuple(self._pole.berths()),
            events=tuple(event.body for event in events),
        )
        answer = self._cloud.sync(credentials.device_id, credentials.token, request)
        self._succeeded(sent, answer)
        for capture in answer.capture_requests:
            self._pass_on(capture, answer)
        try:
            missing = self._outbox.want_evidence(answer.wanted_evidence)
        except OutboxUnavailable as error:  # the cloud asks again
            self._store_failed(error)
            missing = ()
        if missing:
            log.warning("evidence wanted, not here", count=len(missing), first=missing[0][:64])
        return answer

    def _known_credentials(self) -> Credentials:
        if self._credentials.current is None:
            raise CredentialsError("", "this box is not enrolled", "run `edged enrol`")
        return self._credentials.current

    def _pass_on(self, capture: CaptureRequest, answer: SyncAnswer) -> None:
        """Pass a request on once. Expiry is judged on the cloud's clock: ours may be wrong."""
        if capture.request_id in self._requests_seen or capture.expires_at <= answer.server_time:
            return
        self._requests_seen[capture.request_id] = None
        while len(self._requests_seen) > _REMEMBERED_REQUESTS:
            self._requests_seen.popitem(last=False)
        self._pole.carry_out(capture, lambda: self._requests_seen.pop(capture.request_id, None))

    def _upload(self, sha256: str) -> None:
        """Upload one picture; a failure pauses uploads only, events go on."""
        credentials = self._known_credentials()
        jpeg = self._outbox.picture(sha256)
        if jpeg is None:
            outcome = "gone"
        else:
            try:
                self._cloud.upload(credentials.device_id, credentials.token, sha256, jpeg)
                outcome = "done"
            except CloudDeniedError:
                raise
            except CloudRefusedError as error:
                outcome = "refused"
                log.warning("evidence refused", sha256=sha256, reason=error.trouble.what)
            except CloudError as error:
                UPLOADS.labels("failed").inc()
                self._uploads.failed(error.retry_after_s)
                if self._uploads.failures >= _FAILED_UPLOADS:
                    self._report("uploads", error.trouble)
                self._outbox.evidence_postponed(sha256)
                return
        UPLOADS.labels(outcome).inc()
        self._uploads.succeeded()
        self._problems.pop("uploads", None)
        self._outbox.evidence_done(sha256)

    def _succeeded(self, sent: Stamp, answer: SyncAnswer) -> None:
        SYNCS.labels("ok").inc()
        now_s = time.monotonic()
        self._line.succeeded()
        for key in ("credentials", "line", "denied"):
            self._problems.pop(key, None)
        asked_s = answer.poll_after_s
        poll_s = self._settings.poll_interval_s if asked_s is None else asked_s
        self._next_poll_s = now_s + min(max(poll_s, SHORTEST_POLL_S), LONGEST_POLL_S)
        # server_time was taken between sending and receiving
        half_s = (now_s - sent.monotonic_s) / 2
        self._cloud_time = (answer.server_time, now_s - half_s)
        self.clock_offset_s = (answer.server_time - sent.utc).total_seconds() - half_s
        if abs(self.clock_offset_s) > CLOCK_TOLERANCE_S:
            direction = "behind" if self.clock_offset_s > 0 else "ahead of"
            cause = f"this box's clock is {abs(self.clock_offset_s):.0f} s {direction} the cloud's"
            remedy = "check time synchronisation (timedatectl)"
            self._report("clock", Trouble(where="", cause=cause, remedy=remedy))
        else:
            self._problems.pop("clock", None)

    def _failed(self, error: CloudError) -> None:
        SYNCS.labels(type(error).__name__.removeprefix("Cloud").removesuffix("Error").lower()).inc()
        self._line.failed(error.retry_after_s)
        self._report("denied" if isinstance(error, CloudDeniedError) else "line", error.trouble)

    def _report(self, key: str, trouble: Trouble) -> None:
        if key not in self._problems:
            log.warning("uplink problem", cause=trouble.what, remedy=trouble.remedy)
        where = key if key in ("clock", "uploads") else "uplink"
        self._problems[key] = Finding.of(where, HealthStatus.DEGRADED, trouble)
