"""What needs no waiting: disk, records, clock, credentials."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from edged.box.clock import Clock
from edged.diagnosis.daemon import Daemon
from edged.domain.health import Finding, HealthStatus
from edged.store import Archive, NoRecordsError, StoreError
from edged.uplink import UplinkError, load_credentials

_LOW_SPACE_MIB = 256
_OLD_EVENT_S = 3600.0


def check_disk(directory: Path) -> Finding:
    """See how much room the records have."""
    existing = _nearest_existing(directory)
    free_mib = shutil.disk_usage(existing).free >> 20
    if free_mib < _LOW_SPACE_MIB:
        return Finding(
            where="disk",
            status=HealthStatus.FAILED,
            cause=f"only {free_mib} MiB free at {existing}",
            remedy="remove files that do not belong there, or lower store.max_size_mib",
        )
    return Finding.sound("disk", f"{free_mib} MiB free at {existing}")


def check_store(directory: Path, daemon: Daemon) -> Iterator[Finding]:
    """Open the records; see whether they can grow, what waits and what was dropped."""
    obstacle = None if daemon.is_running else _obstacle(_nearest_existing(directory))
    if obstacle is not None:
        remedy = "mount it read-write and give it to the user edged, or correct store.directory"
        yield Finding(where="store", status=HealthStatus.FAILED, cause=obstacle, remedy=remedy)
        return
    try:
        with Archive.open_existing(directory) as archive:
            counts = archive.counts()
    except NoRecordsError as error:
        yield Finding.of("store", HealthStatus.DEGRADED, error.trouble)
        return
    except StoreError as error:
        yield Finding.of("store", HealthStatus.FAILED, error.trouble)
        return
    # old pictures go on every pole: what is lost before its time, the daemon reports when it happens
    dropped = ", ".join(f"{count} x {cause}" for cause, count in counts.dropped.items())
    yield Finding.sound("store", f"readable{'; dropped so far: ' + dropped if dropped else ''}")
    age_s = 0.0
    if counts.oldest is not None:
        age_s = (Clock().now().utc - counts.oldest.utc).total_seconds()
    late = age_s > _OLD_EVENT_S or counts.rejected
    yield Finding(
        where="outbox",
        status=HealthStatus.DEGRADED if late else HealthStatus.OK,
        cause=f"{counts.waiting} waiting, {counts.rejected} rejected"
        + (f", the oldest for {age_s / 60:.0f} min" if counts.waiting else ""),
        remedy="edged outbox" if late else "",
    )


def _obstacle(place: Path) -> str | None:
    """Return why the daemon could not write in `place`, whatever the user of this command may do."""
    if not place.is_dir():
        return f"{place} is no folder"
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        return f"{place} is on a file system that is mounted read-only"
    if not place.stat().st_mode & stat.S_IWUSR:
        return f"{place} cannot be written by its owner"
    return None


def check_clock() -> Finding:
    """Ask the kernel whether the time can be believed."""
    now = Clock().now()
    shown = now.utc.isoformat(sep=" ", timespec="seconds")
    if now.clock_synced:
        return Finding.sound("clock", f"synchronised, {shown}")
    return Finding(
        where="clock",
        status=HealthStatus.DEGRADED,
        cause=f"not synchronised, {shown}; records are corrected later",
        remedy="check NTP: timedatectl",
    )


def check_enrolment(path: Path, daemon: Daemon) -> Finding:
    """Read the credentials; only their owner may, so a technician learns from the daemon what it could."""
    try:
        credentials = load_credentials(path)
    except UplinkError as error:
        if not isinstance(error.__cause__, PermissionError):
            return Finding.of("enrolment", HealthStatus.FAILED, error.trouble)
    else:
        return Finding.sound("enrolment", f"enrolled as {credentials.device_id}")
    if daemon.is_running:
        return Finding.sound("enrolment", f"{path} is read by the daemon")
    remedy = "run `sudo edged diag`, or start the daemon, which may read it"
    return Finding(
        where="enrolment", status=HealthStatus.DEGRADED, cause=f"you may not read {path}", remedy=remedy
    )


def _nearest_existing(directory: Path) -> Path:
    return next(place for place in (directory, *directory.parents) if place.exists())
