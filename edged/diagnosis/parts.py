"""The other parts of a box, each checked by using it."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from edged.camera import CameraError, open_camera
from edged.clock import Clock
from edged.domain.health import Finding, HealthStatus
from edged.settings import BerthSettings, CameraSettings, Settings
from edged.store import Archive, NoRecordsError, StoreError
from edged.uplink import Cloud, UplinkError, load_credentials
from edged.vision.errors import BadFrame, VisionError
from edged.vision.pipeline import PlateVision
from edged.vision.regions import surroundings

_LOW_SPACE_MIB = 256
_OLD_EVENT_S = 3600.0


def check_camera(settings: CameraSettings, berths: Sequence[BerthSettings]) -> Finding:
    """Take a picture; see whether it is one, and whether the berths lie in it."""
    part = f"camera {settings.name}"
    camera = open_camera(settings)
    began_s = time.monotonic()
    try:
        frame = camera.frame()
    except CameraError as error:
        return Finding(
            where=part,
            status=HealthStatus.FAILED,
            cause=error.trouble.cause,
            remedy=error.trouble.remedy,
        )
    finally:
        camera.close()
    height, width = frame.image.shape[:2]
    took_s = time.monotonic() - began_s
    if frame.image.std() < 4:
        return Finding(
            where=part,
            status=HealthStatus.DEGRADED,
            cause=f"a picture of one colour, {width}x{height}",
            remedy="look for a covered lens or a camera that starts up",
        )
    for berth in berths:
        if berth.polygon is not None and (fault := _outline_fault(berth, width, height)):
            action = "draw the outline again on a picture of that size: berth.polygon"
            return Finding(where=part, status=fault[0], cause=fault[1], remedy=action)
    return Finding.sound(part, f"a picture of {width}x{height} in {took_s:.1f} s")


def _outline_fault(berth: BerthSettings, width: int, height: int) -> tuple[HealthStatus, str] | None:
    polygon, size = berth.polygon or (), f"the picture of {width}x{height}"
    try:
        surroundings(polygon, width, height)
    except BadFrame:
        return (
            HealthStatus.FAILED,
            f"the polygon of berth {berth.berth_no} lies outside {size}: nothing can be read there",
        )
    if any(x > width or y > height for x, y in polygon):
        return HealthStatus.DEGRADED, f"the polygon of berth {berth.berth_no} reaches out of {size}"
    return None


def check_model(settings: Settings) -> Finding:
    """Load the models and let them read their own test picture."""
    try:
        vision = PlateVision.load(settings.model.directory, threads=settings.model.threads)
        vision.self_test()
        began_s = time.monotonic()
        vision.self_test()
    except VisionError as error:
        return Finding.of("model", HealthStatus.FAILED, error.trouble)
    took_ms = (time.monotonic() - began_s) * 1000
    return Finding.sound("model", f"version {vision.manifest.version}, all models in {took_ms:.0f} ms")


def check_store(settings: Settings) -> Iterator[Finding]:
    """Open the records; see what waits and what was dropped."""
    directory = settings.store.directory
    place = next(place for place in (directory, *directory.parents) if place.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        why = "cannot be written" if place.is_dir() else "is no folder"
        action = "mount it read-write and give it to the user edged, or correct store.directory"
        yield Finding(where="store", status=HealthStatus.FAILED, cause=f"{place} {why}", remedy=action)
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
    dropped = ", ".join(f"{count} x {cause}" for cause, count in counts.dropped.items())
    yield Finding(
        where="store",
        status=HealthStatus.DEGRADED if dropped else HealthStatus.OK,
        cause=f"readable{'; dropped so far: ' + dropped if dropped else ''}",
        remedy="raise max_size_mib, or mend the uplink" if dropped else "",
    )
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


def check_disk(directory: Path) -> Finding:
    """See how much room the records have."""
    existing = next(place for place in (directory, *directory.parents) if place.exists())
    free_mib = shutil.disk_usage(existing).free >> 20
    if free_mib < _LOW_SPACE_MIB:
        action = "remove what does not belong there, or lower store.max_size_mib"
        return Finding(
            where="disk", status=HealthStatus.FAILED, cause=f"only {free_mib} MiB free", remedy=action
        )
    return Finding.sound("disk", f"{free_mib} MiB free at {existing}")


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


def check_cloud(settings: Settings) -> Iterator[Finding]:
    """Read the credentials and reach the cloud."""
    try:
        credentials = load_credentials(settings.uplink.credentials)
    except UplinkError as error:
        yield Finding.of("enrolment", HealthStatus.FAILED, error.trouble)
    else:
        yield Finding.sound("enrolment", f"enrolled as {credentials.device_id}")
    began_s = time.monotonic()
    try:
        with Cloud(settings.uplink) as cloud:
            cloud.reach()
    except UplinkError as error:
        yield Finding.of("cloud", HealthStatus.FAILED, error.trouble)
        return
    took_ms = (time.monotonic() - began_s) * 1000
    yield Finding.sound("cloud", f"{settings.uplink.cloud_url} answers in {took_ms:.0f} ms")
