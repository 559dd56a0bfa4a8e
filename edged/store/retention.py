"""Retention: what is dropped, by class, and every drop counted."""

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlite_utils import Database

from edged.domain.delivery import StoredPicture, evictions
from edged.domain.health import Finding, HealthStatus
from edged.domain.timekeeping import AGREES_WITHIN
from edged.settings import StoreSettings
from edged.store.database import FILE_NAME
from edged.store.evidence import EvidenceFolder
from edged.store.records import changed

MIB = 1024 * 1024
# The database may take a quarter of the store: years of visits; pictures have the rest.
DATABASE_SHARE = 4
MIN_DATABASE_BYTES = 4 * MIB
# Left free on the disk, so that pictures never take the room of an arrival.
DISK_RESERVE_BYTES = 32 * MIB
# With less than this free it is the disk that is full, not the database.
MIN_FREE_BYTES = MIB
KEPT_DAMAGED_DATABASES = 3
# Rows dropped at once when the database itself is full: oldest delivered visits first.
VISITS_DROPPED_FOR_ROOM = 200

# Rows looked at in one pass, oldest first: a pass is short, and the next one goes on.
VISITS_PER_PASS = 500

_DELIVERED = (
    "out_stamp IS NOT NULL AND visit_id NOT IN (SELECT visit_id FROM outbox WHERE visit_id IS NOT NULL)"
)
_UNDATED = datetime.max.replace(tzinfo=UTC)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evicted:
    """What one pass dropped: how many by cause, and the bytes of pictures freed."""

    counts: dict[str, int] = field(default_factory=dict)
    freed_bytes: int = 0


def database_bytes(settings: StoreSettings) -> int:
    """Return how large the database file may grow."""
    return max(MIN_DATABASE_BYTES, settings.max_size_mib * MIB // DATABASE_SHARE)


def database_size(directory: Path) -> int:
    """Return the bytes that the database takes, its WAL and damaged ones included."""
    return sum(_size_bytes(part) for part in directory.glob(f"{FILE_NAME}*"))


class Retention:
    """Drops by age and by room, inside the writer's transaction. Open visits and waiting events never go."""

    def __init__(self, settings: StoreSettings, evidence: EvidenceFolder) -> None:
        self._settings = settings
        self._evidence = evidence
        self._room_bytes = 0  # for pictures to come; a pass measures it
        self._lost = 0  # pictures dropped too early since the last regular pass
        self.problem: Finding | None = None  # pictures are dropped before the cloud had their events

    def take_room(self, picture_bytes: int) -> bool:
        """Take room for a picture; return whether there was any. A pass makes more."""
        self._room_bytes -= picture_bytes
        return self._room_bytes >= 0

    def regular_pass(self, db: Database, now: datetime | None) -> Evicted:
        """Evict; when no picture was lost since the pass before, that problem is over."""
        evicted = self.evict(db, now)
        if not self._lost:
            self.problem = None
        self._lost = 0
        return evicted

    def evict(self, db: Database, now: datetime | None, *, incoming_bytes: int = 0) -> Evicted:
        """Drop what is past its time or has no room, and make room for a picture of `incoming_bytes`.

        `now` None: the clock is not to be trusted.
        """
        counts: dict[str, int] = {}
        before = None
        if now is not None:
            before = now - timedelta(days=self._settings.keep_visits_days)
            _date_the_undated(db, now)
            counts["visits_by_age"] = _drop_visits(
                db,
                "SELECT visit_id FROM (SELECT * FROM visit ORDER BY id LIMIT ?)"
                f" WHERE {_DELIVERED} AND closed_utc < ?",
                [VISITS_PER_PASS, before.isoformat()],
            )
            counts["rejected_by_age"] = _drop_rejected(db, before)
        counts["damaged_databases"] = _drop_damaged_databases(self._settings.directory, before)
        pictures, freed_bytes = self._drop_pictures(db, now, incoming_bytes)
        return self._counted(db, counts | pictures, freed_bytes)

    def make_room(self, db: Database) -> bool:
        """Drop pictures above the limit, or else the oldest delivered visits; tell whether anything went.

        On a full disk only pictures help: rows that go free pages of the database, not of the disk.
        """
        if self.evict(db, None).counts:
            return True
        if shutil.disk_usage(self._settings.directory).free < MIN_FREE_BYTES:
            return False
        visits = _drop_visits(
            db,
            f"SELECT visit_id FROM visit WHERE {_DELIVERED} ORDER BY id LIMIT ?",
            [VISITS_DROPPED_FOR_ROOM],
        )
        self._counted(db, {"visits_by_size": visits}, 0)
        return bool(visits)

    def _drop_pictures(
        self, db: Database, now: datetime | None, incoming_bytes: int
    ) -> tuple[dict[str, int], int]:
        """Remove files, then rows: a crash in between leaves rows without files, for the next start."""
        pictures = [picture for picture in _pictures(db) if not self._evidence.refuses(picture.sha256)]
        allowed_bytes = self._picture_bytes_allowed(db)
        chosen = evictions(
            pictures,
            now=now,
            keep=timedelta(days=self._settings.keep_evidence_days),
            max_bytes=max(0, allowed_bytes - incoming_bytes),
        )
        counts: dict[str, int] = {}
        freed_bytes = 0
        for eviction in chosen:
            if not self._evidence.remove(eviction.sha256):
                continue
            db.execute("DELETE FROM evidence WHERE sha256 = ?", [eviction.sha256])
            db.execute("DELETE FROM upload WHERE sha256 = ?", [eviction.sha256])
            cause = f"evidence_by_{eviction.cause}"
            counts[cause] = counts.get(cause, 0) + 1
            freed_bytes += eviction.size_bytes
        kept_bytes = sum(picture.size_bytes for picture in pictures) - freed_bytes
        self._room_bytes = allowed_bytes - kept_bytes - incoming_bytes
        return counts, freed_bytes

    def _picture_bytes_allowed(self, db: Database) -> int:
        directory = self._settings.directory
        records_bytes = database_size(directory)
        present: int = db.execute("SELECT coalesce(sum(size_bytes), 0) FROM evidence").fetchone()[0]
        room_on_disk = present + shutil.disk_usage(directory).free - DISK_RESERVE_BYTES
        return max(0, min(self._settings.max_size_mib * MIB - records_bytes, room_on_disk))

    def _counted(self, db: Database, counts: dict[str, int], freed_bytes: int) -> Evicted:
        counts = {cause: count for cause, count in counts.items() if count}
        for cause, count in counts.items():
            db.execute(
                "INSERT INTO drop_count (cause, count) VALUES (?, ?)"
                " ON CONFLICT (cause) DO UPDATE SET count = count + excluded.count",
                [cause, count],
            )
        if counts:
            log.info("evicted", freed_bytes=freed_bytes, **counts)
        if lost := counts.get("evidence_by_size_undelivered"):
            self._lost += lost
            self.problem = Finding(
                where="store",
                status=HealthStatus.DEGRADED,
                cause=f"no room: {self._lost} pictures were dropped before the cloud had their events",
                remedy="raise store.max_size_mib, or mend the connection to the cloud",
            )
            log.error("evidence lost", count=lost)
        return Evicted(counts=counts, freed_bytes=freed_bytes)


def _date_the_undated(db: Database, now: datetime) -> None:
    """Let the age of what was recorded without a clock count from `now`."""
    stamp = now.isoformat()
    # a clock that was wrong for a minute may have dated some far ahead: they would be kept for ever
    ahead = (now + AGREES_WITHIN).isoformat()
    db.execute(
        "UPDATE evidence SET stored_utc = ? WHERE stored_utc IS NULL OR stored_utc > ?", [stamp, ahead]
    )
    db.execute(
        "UPDATE visit SET closed_utc = ?"
        " WHERE out_stamp IS NOT NULL AND (closed_utc IS NULL OR closed_utc > ?)",
        [stamp, ahead],
    )


def _drop_visits(db: Database, select: str, arguments: list[Any]) -> int:
    visit_ids = [[row["visit_id"]] for row in db.query(select, arguments)]
    db.conn.executemany("DELETE FROM reading WHERE visit_id = ?", visit_ids)
    db.conn.executemany("DELETE FROM visit WHERE visit_id = ?", visit_ids)
    return len(visit_ids)


def _drop_rejected(db: Database, before: datetime) -> int:
    """Drop events set aside so long ago that no technician will come."""
    cursor = db.execute(
        "DELETE FROM outbox WHERE rejected_reason IS NOT NULL AND json_extract(stamp, '$[1]') = 1"
        " AND json_extract(stamp, '$[0]') < ?",
        [before.isoformat(timespec="microseconds")],
    )
    return changed(cursor)


def _pictures(db: Database) -> list[StoredPicture]:
    rows = db.query(
        "SELECT sha256, size_bytes, stored_utc,"
        " sha256 IN (SELECT evidence_sha256 FROM outbox WHERE evidence_sha256 IS NOT NULL)"
        " OR sha256 IN (SELECT sha256 FROM upload) AS needed,"
        " sha256 IN (SELECT evidence_sha256 FROM reading JOIN visit USING (visit_id) WHERE out_stamp IS NULL)"
        " AS of_open_visit"
        " FROM evidence"
    )
    return [
        StoredPicture(
            sha256=row["sha256"],
            size_bytes=row["size_bytes"],
            stored_at=_stored_at(row["stored_utc"]),
            needed=bool(row["needed"]),
            of_open_visit=bool(row["of_open_visit"]),
        )
        for row in rows
    ]


def _stored_at(column: str | None) -> datetime:
    try:
        return datetime.fromisoformat(column) if column else _UNDATED
    except (ValueError, TypeError):  # a damaged page: the picture goes for its size, not for its age
        return _UNDATED


def _size_bytes(path: Path) -> int:
    """Return the size of a file; 0 when it has just gone or cannot be looked at."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def drop_oldest(evidence: EvidenceFolder, bytes_wanted: int) -> int:
    """Remove the oldest pictures without asking the database, until so much is free; return how many."""
    dropped = 0
    for digest, size_bytes, _ in sorted(evidence.scan(), key=lambda found: found[2]):
        if bytes_wanted <= 0:
            break
        if evidence.remove(digest):
            bytes_wanted -= size_bytes
            dropped += 1
    return dropped


def _drop_damaged_databases(directory: Path, before: datetime | None) -> int:
    """Remove databases set aside before `before`, and all but the newest few; return how many."""
    damaged = sorted(
        path for path in directory.glob(f"{FILE_NAME}.corrupt-*") if not path.name.endswith(("-wal", "-shm"))
    )
    old = damaged[:-KEPT_DAMAGED_DATABASES]
    if before is not None:
        newest = damaged[-KEPT_DAMAGED_DATABASES:]
        old += [path for path in newest if _changed_before(path, before)]
    try:
        for path in old:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
    except OSError as error:  # what the disk does not remove must not keep the rest
        log.error("damaged database not removed", path=str(path), reason=error.strerror)
        return 0
    return len(old)


def _changed_before(path: Path, before: datetime) -> bool:
    try:
        return path.stat().st_mtime < before.timestamp()
    except OSError:
        return False
