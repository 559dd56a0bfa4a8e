"""What the cloud may ask of this pole: how a berth stands, what is read there, a fresh look."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

import structlog

from edged.box.clock import Clock
from edged.domain.health import overall
from edged.settings import Settings
from edged.snapshot_api import CaptureFailedError, UnknownBerthError
from edged.store import Store, StoreError
from edged.uplink import CredentialsFile
from edged.wire import BerthState, BerthStatus, CaptureRequest, DeviceHealth, ReadingView, Snapshot
from edged.wire.signing import signed
from edged.workers.board import Board
from edged.workers.health_book import HealthBook
from edged.workers.queues import Captured, CaptureJob, CaptureQueue, Reason

log = structlog.get_logger()

_ANSWER_WITHIN_S = 15.0


class Pole:
    """Answers for the berths of this box; safe to call from any thread."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        board: Board,
        health: HealthBook,
        captures: Mapping[str, CaptureQueue],
        credentials: CredentialsFile,
    ) -> None:
        self._device_id = settings.site.device_id
        self._berths = {berth.berth_no: berth for berth in settings.berth}
        self._store = store
        self._clock = clock
        self._board = board
        self._health = health
        self._captures = captures
        self._credentials = credentials

    def berths(self) -> list[BerthStatus]:
        return self._board.all()

    def snapshot(self, berth_no: str, nonce: str) -> Snapshot:
        """Return the berth as it stands, with its visit's reading. Raises UnknownBerthError."""
        status = self._status(berth_no)
        stored = self._store.latest_reading(status.visit_id) if status.visit_id else None
        seen = Captured(visit_id=status.visit_id)
        if stored is not None:
            seen = Captured(
                visit_id=status.visit_id,
                reading=ReadingView.of(stored.reading),
                evidence_sha256=stored.evidence_sha256,
                captured_at=stored.captured.utc,
            )
        return self._signed(berth_no, nonce, seen)

    def capture(self, berth_no: str, nonce: str) -> Snapshot:
        """Take a fresh burst and return what it shows. Raises PoleError."""
        self._status(berth_no)
        answer: Future[Captured] = Future()
        self._ask(berth_no, answer.set_result)
        try:
            captured = answer.result(timeout=_ANSWER_WITHIN_S)
        except FutureTimeoutError:
            raise CaptureFailedError(f"no picture within {_ANSWER_WITHIN_S:.0f} s") from None
        if captured.error is not None:
            raise CaptureFailedError(captured.error)
        return self._signed(berth_no, nonce, captured)

    def carry_out(self, request: CaptureRequest) -> None:
        """Take the capture that a sync answer asks for; the answer leaves with the outbox."""
        if request.berth_no not in self._berths:
            self._report(request, Captured(error=f"berth {request.berth_no} is not on this pole"))
        elif self._clock.now().utc < request.expires_at or not self._clock.is_synced():
            self._ask(request.berth_no, lambda captured: self._report(request, captured))

    def picture(self, sha256: str) -> bytes | None:
        return self._store.picture(sha256)

    def health(self) -> DeviceHealth:
        causes = self._health.causes()
        return DeviceHealth(
            status=overall(finding for cause in causes for finding in cause.findings).value,
            problems=tuple(line for cause in causes for line in cause.lines()),
        )

    def status_line(self) -> str:
        """Return one line for `systemctl status`."""
        statuses = self._board.all()
        occupied = sum(status.state is BerthState.OCCUPIED for status in statuses)
        line = f"{occupied} of {len(statuses)} berths occupied"
        problems = self._health.problems()  # once: a problem may end between two looks
        if not problems:
            return f"{line}, all well"
        return f"{line}, {overall(problems).value}: {problems[0]}"

    def _ask(self, berth_no: str, answer: Callable[[Captured], None]) -> None:
        berth = self._berths[berth_no]
        job = CaptureJob(
            berth=berth,
            visit_id=self._status(berth_no).visit_id,
            reason=Reason.REQUEST,
            asked_s=time.monotonic(),
            answer=answer,
        )
        self._captures[berth.camera].put(job)

    def _report(self, request: CaptureRequest, captured: Captured) -> None:
        snapshot = None
        if captured.error is None:
            snapshot = self._signed(request.berth_no, request.nonce, captured)
        try:
            self._store.snapshot_taken(
                request.berth_no,
                captured.visit_id,
                self._clock.now(),
                request.request_id,
                snapshot,
                captured.error,
            )
        except StoreError as error:  # the cloud asks again
            log.error("snapshot not stored", request_id=request.request_id, reason=str(error))

    def _signed(self, berth_no: str, nonce: str, seen: Captured) -> Snapshot:
        snapshot = Snapshot(
            device_id=self._device_id,
            berth_no=berth_no,
            state=self._status(berth_no).state.value,
            visit_id=seen.visit_id,
            reading=seen.reading,
            evidence_sha256=seen.evidence_sha256,
            captured_at=seen.captured_at,
            signed_at=self._clock.now().utc,
            nonce=nonce,
        )
        credentials = self._credentials.current  # before the enrolment nobody has a token to ask with
        return signed(snapshot, credentials.private_key) if credentials else snapshot

    def _status(self, berth_no: str) -> BerthStatus:
        status = self._board.get(berth_no)
        if status is None:
            raise UnknownBerthError(berth_no)
        return status
