"""What the cloud may ask of this pole: how a berth stands, what is read there, a fresh look."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError

import structlog

from edged.box.clock import Clock
from edged.domain.health import overall
from edged.settings import Settings
from edged.snapshot_api import CaptureFailedError, RecordsUnavailableError, UnknownBerthError
from edged.store import Store, StoreError
from edged.uplink import CredentialsFile
from edged.wire import BerthState, BerthStatus, CaptureRequest, DeviceHealth, ReadingView, Snapshot
from edged.wire.signing import signed
from edged.workers.board import Board
from edged.workers.health_book import HealthBook
from edged.workers.looks import Looks
from edged.workers.queues import Captured, CaptureQueue

log = structlog.get_logger()

_ANSWER_WITHIN_S = 15.0
_UNKNOWN_EXPIRY_S = 60.0  # of a request to a box without a clock


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
        self._looks = Looks(captures)
        self._credentials = credentials

    def berths(self) -> list[BerthStatus]:
        return self._board.all()

    def snapshot(self, berth_no: str, nonce: str) -> Snapshot:
        """Return the berth as it stands, with its visit's reading. Raises PoleError."""
        status = self._status(berth_no)
        try:
            stored = self._store.latest_reading(status.visit_id) if status.visit_id else None
        except StoreError as error:
            raise RecordsUnavailableError(str(error)) from error
        seen = Captured(visit_id=status.visit_id)
        if stored is not None:
            seen = Captured(
                visit_id=status.visit_id,
                reading=ReadingView.of(stored.reading),
                evidence_sha256=stored.evidence_sha256,
                captured_at=stored.captured.utc,
            )
        return self._signed(status, nonce, seen)

    def capture(self, berth_no: str, nonce: str) -> Snapshot:
        """Return what a fresh burst shows; one that is under way is shared. Raises PoleError."""
        status = self._status(berth_no)
        until_s = time.monotonic() + _ANSWER_WITHIN_S
        answered = self._looks.ask(self._berths[berth_no], status.visit_id, until_s)
        try:
            captured = answered.result(timeout=_ANSWER_WITHIN_S)
        except FutureTimeoutError:
            raise CaptureFailedError(f"no picture within {_ANSWER_WITHIN_S:.0f} s") from None
        status = self._status(berth_no)
        if error := _unusable(captured, status):
            raise CaptureFailedError(error)
        return self._signed(status, nonce, captured)

    def carry_out(self, request: CaptureRequest, on_lost: Callable[[], None]) -> None:
        """Take the capture that a sync answer asks for; the answer leaves with the outbox.

        `on_lost` is called when the answer could not be stored.
        """
        now = self._clock.now()
        if request.berth_no not in self._berths:
            self._report(request, Captured(error=f"berth {request.berth_no} is not on this pole"), on_lost)
        elif now.utc < request.expires_at or not now.clock_synced:
            left_s = (request.expires_at - now.utc).total_seconds() if now.clock_synced else _UNKNOWN_EXPIRY_S
            visit_id = self._status(request.berth_no).visit_id
            berth = self._berths[request.berth_no]
            answered = self._looks.ask(berth, visit_id, time.monotonic() + left_s)
            answered.add_done_callback(lambda done: self._report(request, done.result(), on_lost))

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

    def _report(self, request: CaptureRequest, captured: Captured, on_lost: Callable[[], None]) -> None:
        snapshot, status = None, self._board.get(request.berth_no)
        error = captured.error if status is None else _unusable(captured, status)
        if error is None and status is not None:
            snapshot = self._signed(status, request.nonce, captured)
        try:
            self._store.snapshot_taken(
                request.berth_no,
                captured.visit_id,
                self._clock.now(),
                request.request_id,
                snapshot,
                error,
            )
        except StoreError as error:  # the cloud asks again until it has an answer
            log.error("snapshot not stored", request_id=request.request_id, reason=str(error))
            on_lost()

    def _signed(self, status: BerthStatus, nonce: str, seen: Captured) -> Snapshot:
        snapshot = Snapshot(
            device_id=self._device_id,
            berth_no=status.berth_no,
            state=status.state.value,
            visit_id=seen.visit_id,
            reading=seen.reading,
            evidence_sha256=seen.evidence_sha256,
            captured_at=seen.captured_at,
            signed_at=self._clock.now().utc,
            nonce=nonce,
        )
        credentials = self._credentials.current  # before the enrolment there is no token to ask with
        return signed(snapshot, credentials.private_key) if credentials else snapshot

    def _status(self, berth_no: str) -> BerthStatus:
        status = self._board.get(berth_no)
        if status is None:
            raise UnknownBerthError(berth_no)
        return status


def _unusable(captured: Captured, status: BerthStatus) -> str | None:
    """Return why a look says nothing of the berth as it stands now, None when it does."""
    if captured.error is None and captured.visit_id != status.visit_id:
        return "a vehicle came or left while the berth was looked at"
    return captured.error
