"""The store as written: any thread may call, and a call that returns is durable."""

import threading
from collections.abc import Callable, Sequence

import structlog
from sqlite_utils import Database

from edged.domain.delivery import PendingEvent
from edged.domain.health import Finding, HealthStatus
from edged.domain.timekeeping import Bounds, Stamp, bounds, corrected, is_trusted
from edged.settings import StoreSettings
from edged.store import outbox, recording
from edged.store.errors import StoreError, StoreFullError, translated
from edged.store.records import NewReading
from edged.store.reopening import ReopenedArchive
from edged.store.retention import Evicted
from edged.wire import DriveCause, EventVerdict, Snapshot

MAX_BATCH_BYTES = 256 * 1024

log = structlog.get_logger(__name__)


class Store(ReopenedArchive):
    """Visits, readings, evidence pictures and the outbox of one box.

    A call that raises StoreError has changed nothing; the same call again is safe, also after one
    that did commit: ids come from the arguments.
    """

    def __init__(self, settings: StoreSettings) -> None:
        super().__init__(settings)
        self.grown = threading.Event()  # set when the outbox got an event; the uplink clears it
        self._picture_problem: Finding | None = None

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What is wrong now, for health: what was damaged, what could not be written, what was lost."""
        problem = self._picture_problem
        return (*super().problems, problem) if problem else super().problems

    def drive_in(self, berth_no: str, visit_id: str, stamp: Stamp, cause: str) -> None:
        """Commit an arrival. `cause`: a DriveCause value."""
        drive_cause = DriveCause(cause)
        self._commit(lambda db: recording.drive_in(db, berth_no, visit_id, stamp, drive_cause), stamp)

    def drive_out(self, berth_no: str, visit_id: str, stamp: Stamp, cause: str) -> None:
        """Commit a departure. `cause`: a DriveCause value."""
        drive_cause = DriveCause(cause)
        self._commit(lambda db: recording.drive_out(db, berth_no, visit_id, stamp, drive_cause), stamp)

    def commit_reading(self, reading: NewReading) -> str | None:
        """Commit a reading with its picture; return the picture's hash.

        The picture is durable before the reading names it. When the disk has no room for it the reading
        is committed without, and `problems` says so: a plate is worth more than its picture.
        """
        sha256 = self._write_picture(reading.evidence_jpeg) if reading.evidence_jpeg is not None else None
        self._commit(lambda db: recording.reading(db, reading, sha256), reading.stamp)
        return sha256

    def withdraw(self, reading: NewReading, evidence_sha256: str | None) -> None:
        """Commit that a visit's reading is not accepted any more: the same plate, by a later picture."""
        self._commit(lambda db: recording.reading(db, reading, evidence_sha256), reading.stamp)

    def snapshot_taken(
        self,
        berth_no: str,
        visit_id: str | None,
        stamp: Stamp,
        request_id: str,
        snapshot: Snapshot | None,
        error: str | None = None,
    ) -> None:
        """Commit the answer to a capture request that came on a sync answer."""

        def work(db: Database) -> None:
            recording.snapshot(
                db,
                berth_no=berth_no,
                visit_id=visit_id,
                stamp=stamp,
                request_id=request_id,
                taken=snapshot,
                error=error,
            )

        self._commit(work, stamp)

    def pending(
        self, limit: int, now: Stamp, *, fresh_only: bool = False, max_bytes: int = MAX_BATCH_BYTES
    ) -> list[PendingEvent]:
        """Return the next events to send, their times corrected as far as any clock proves them.

        `fresh_only` leaves out those that the cloud has asked to keep.
        """
        anchors = self.clock_anchors()
        if now.clock_synced:
            anchors[now.boot_id] = now
        boots = self.boots(anchors)
        with self._reading() as db:
            return outbox.pending(
                db,
                limit=limit,
                max_bytes=max_bytes,
                fresh_only=fresh_only,
                correct=lambda stamp: corrected(stamp, anchors.get(stamp.boot_id, now)),
                # this boot's records are placed by how long ago they were made
                bound=lambda stamp: Bounds() if stamp.boot_id == now.boot_id else bounds(stamp, boots),
            )

    def apply_verdicts(self, verdicts: Sequence[EventVerdict]) -> None:
        """Act on the cloud's verdicts, in one commit; verdicts about unknown events are ignored."""
        if verdicts:
            self._write(lambda db: outbox.apply_verdicts(db, verdicts))

    def try_set_aside(self, *, once_only: bool) -> int:
        """Let events that the cloud refused wait again; return how many.

        `once_only`: only those that were refused once.
        """
        with self._reading() as db:  # a look costs no sync
            if not outbox.has_set_aside(db, once_only=once_only):
                return 0
        return self._write(lambda db: outbox.try_set_aside(db, once_only=once_only))

    def want_evidence(self, digests: Sequence[str]) -> tuple[str, ...]:
        """Queue pictures that the cloud asked for; return those that are not here."""
        present = {digest for digest in digests if self.evidence.has(digest)}
        new = sorted(present - set(self.wanted_evidence(limit=-1)))
        if new:
            self._write(lambda db: outbox.want(db, new))
        return tuple(digest for digest in digests if digest not in present)

    def wanted_evidence(self, limit: int) -> list[str]:
        """Return hashes of pictures to upload, least tried first; -1 for all."""
        with self._reading() as db:
            return outbox.wanted(db, limit)

    def evidence_done(self, sha256: str) -> None:
        """Forget an upload: done, or never to be done."""
        self._write(lambda db: outbox.forget_wanted(db, sha256))

    def evidence_postponed(self, sha256: str) -> None:
        """Put an upload that failed behind the others."""
        self._write(lambda db: outbox.postpone_wanted(db, sha256))

    def keep_time(self, known: Stamp | None, now: Stamp, *, is_believed: bool) -> None:
        """Keep the last-known time; a believed `now` proves when this boot recorded something."""

        def work(db: Database) -> None:
            recording.known_time(db, known, now)
            if is_believed and known is not None and is_trusted(now, known, None):
                recording.certain_anchor(db, now)
            elif is_believed:
                recording.clock_anchor(db, now)

        self._write(work)

    def evict(self, now: Stamp) -> Evicted:
        """Drop what is past its time or has no room, by class; return and count what went.

        Nothing goes by age unless `now.clock_synced`, which means here that the caller trusts it, and the
        last-known time (or the first one of this boot) agrees.
        """
        self.evidence.look_again()
        known = self.known_time() or self.clock_anchors().get(now.boot_id)
        is_right = now.clock_synced and (known is None or is_trusted(now, known, None))
        trusted = now.utc if is_right else None
        return self._write(lambda db: self._retention.regular_pass(db, trusted))

    def _commit(self, work: Callable[[Database], None], stamp: Stamp) -> None:
        def whole(db: Database) -> None:
            work(db)
            recording.clock_anchor(db, stamp)

        self._write(whole)
        self.grown.set()

    def _write_picture(self, jpeg: bytes) -> str | None:
        try:
            if not self._retention.take_room(len(jpeg)):
                self._write(lambda db: self._retention.evict(db, None, incoming_bytes=len(jpeg)))
            try:
                sha256 = self._picture_written(jpeg)
            except StoreFullError:
                if not self._write(lambda db: self._retention.evict(db, None)).freed_bytes:
                    raise
                sha256 = self._picture_written(jpeg)
        except StoreError as error:
            self._picture_problem = Finding(
                where="store",
                status=HealthStatus.DEGRADED,
                cause=f"an evidence picture could not be kept: {error.trouble.what}",
                remedy=error.trouble.remedy,
            )
            log.error("evidence not kept", problem=str(error))
            return None
        self._picture_problem = None
        return sha256

    def _picture_written(self, jpeg: bytes) -> str:
        with translated(self.evidence.root):
            return self.evidence.write(jpeg)
