"""What may keep a check waiting: cameras, models, the cloud; each is checked by using it."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from edged.box.clock import Clock
from edged.camera import CameraError, open_camera
from edged.domain.health import Finding, HealthStatus
from edged.picture import PictureError
from edged.settings import BerthSettings, CameraSettings, Settings
from edged.uplink import CLOCK_TOLERANCE_S, CloudClient, UplinkError
from edged.view import poor_picture, trouble_of
from edged.vision.errors import BadFrame, VisionError
from edged.vision.pipeline import PlateVision
from edged.vision.regions import surroundings


def check_camera(settings: CameraSettings, berths: Sequence[BerthSettings]) -> list[Finding]:
    """Take a picture; see whether it is one, and whether the berths lie in it."""
    return [_of_camera(settings, berths)]


def _of_camera(settings: CameraSettings, berths: Sequence[BerthSettings]) -> Finding:
    part = f"camera {settings.name}"
    camera = open_camera(settings)
    began_s = time.monotonic()
    try:
        image = camera.frame().decode()
    except CameraError as error:
        return Finding(
            where=part,
            status=HealthStatus.FAILED,
            cause=error.trouble.cause,
            remedy=error.trouble.remedy,
        )
    except PictureError as error:
        remedy = "let the camera send plain (baseline) JPEG"
        return Finding(where=part, status=HealthStatus.FAILED, cause=str(error), remedy=remedy)
    finally:
        camera.close()
    height, width = image.shape[:2]
    took_s = time.monotonic() - began_s
    if image.std() < 4:
        return Finding(
            where=part,
            status=HealthStatus.DEGRADED,
            cause=f"a picture of one colour, {width}x{height}",
            remedy="look for a covered lens or a camera that starts up",
        )
    if settings.is_live and (doubt := poor_picture(image)):
        return Finding.of(part, HealthStatus.DEGRADED, replace(trouble_of(doubt, part), where=""))
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
    if berth.picture_size is not None and berth.picture_size != (width, height):
        drawn_on = "x".join(str(side) for side in berth.picture_size)
        return (
            HealthStatus.FAILED,
            f"the polygon of berth {berth.berth_no} was drawn on {drawn_on}, not on {size}",
        )
    if any(x > width or y > height for x, y in polygon):
        return HealthStatus.DEGRADED, f"the polygon of berth {berth.berth_no} reaches out of {size}"
    return None


def check_model(settings: Settings) -> list[Finding]:
    """Load the models and let them read plates whose texts are known."""
    return [_of_model(settings)]


def _of_model(settings: Settings) -> Finding:
    try:
        vision = PlateVision.load(settings.model.directory, threads=settings.model.threads)
        vision.self_test()
        began_s = time.monotonic()
        vision.self_test()
    except VisionError as error:
        return Finding.of("model", HealthStatus.FAILED, error.trouble)
    took_ms = (time.monotonic() - began_s) * 1000
    if fallback := vision.fallback:
        return Finding.of("model", HealthStatus.DEGRADED, fallback)
    seen = f"version {vision.manifest.version}, {vision.runtime}, self-test read in {took_ms:.0f} ms"
    return Finding.sound("model", seen)


def check_cloud(settings: Settings) -> list[Finding]:
    """Reach the cloud; no credentials are needed for it."""
    began_s = time.monotonic()
    try:
        with CloudClient(settings.uplink) as cloud:
            cloud_utc = cloud.reach()
    except UplinkError as error:
        return [Finding.of("cloud", HealthStatus.FAILED, error.trouble)]
    took_ms = (time.monotonic() - began_s) * 1000
    sound = Finding.sound("cloud", f"{settings.uplink.cloud_url} answers in {took_ms:.0f} ms")
    return [sound, *compared(cloud_utc)]


def compared(cloud_utc: datetime | None) -> list[Finding]:
    """Compare the box's clock with the cloud's, which is exact to a second and as old as its answer."""
    if cloud_utc is None:
        return []
    ahead_s = (Clock().now().utc - cloud_utc).total_seconds()
    if abs(ahead_s) <= CLOCK_TOLERANCE_S:
        return [Finding.sound("clock", f"agrees with the cloud's to {CLOCK_TOLERANCE_S:.0f} s")]
    differs = f"{abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} the cloud's"
    return [
        Finding(
            where="clock",
            status=HealthStatus.DEGRADED,
            cause=f"this box's clock is {differs}",
            remedy="check time synchronisation here and at the cloud (timedatectl)",
        )
    ]
