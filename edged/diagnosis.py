"""What a technician at the pole wants to know: does each part work, if not why, and what to do next.

Every check runs the real part: the port is opened, each sensor asked, each camera takes a picture, the
models run, the cloud is reached. While the daemon runs it owns the buses and is asked instead.
"""

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from edged.camera import CameraError, open_camera
from edged.clock import Clock
from edged.control import ControlError, NotRunning, ask
from edged.sensor_buses import sensor_buses
from edged.settings import CameraSettings, Settings
from edged.store import Archive, StoreError
from edged.uplink import Cloud, UplinkError, load_credentials
from edged.vision.errors import VisionError
from edged.vision.pipeline import PlateVision
from firmware_bridge import BridgeError, BusSnapshot, SensorBus

_LOW_SPACE_MIB = 256
_OLD_EVENT_S = 3600.0
_BUS_WITHIN_S = 6.0
_FAILED_SHARE = 0.02  # of a sensor's requests; fewer are the weather, and a daemon may run for years


class Light(StrEnum):
    GREEN = "green"
    YELLOW = "yellow"  # works, but look after it
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One part's state. `next_action` is empty where there is nothing to do."""

    part: str
    light: Light
    cause: str
    next_action: str = ""


def diagnose(settings: Settings) -> Iterator[Finding]:
    """Yield one finding after another, as each check ends. Nothing raises: what fails is a finding."""
    running = _is_running(settings.store.directory)
    what = "the daemon runs and is asked for its buses" if running else "the daemon does not run"
    action = "" if running else "start it: systemctl start edged (journalctl -u edged tells why it stopped)"
    yield Finding(
        part="daemon", light=Light.GREEN if running else Light.YELLOW, cause=what, next_action=action
    )
    yield from _buses(settings, running)
    for camera in settings.camera:
        yield _camera(camera)
    yield _model(settings)
    yield from _store(settings)
    yield _disk(settings.store.directory)
    yield _clock()
    yield from _cloud(settings)


def _is_running(directory: Path) -> bool:
    try:
        ask(directory, "health", timeout_s=5)
    except NotRunning:
        return False
    except ControlError:
        return True
    return True


def _buses(settings: Settings, running: bool) -> Iterator[Finding]:
    if running:
        try:
            answers = ask(settings.store.directory, "buses")
        except ControlError as error:
            yield Finding(
                part="bus", light=Light.RED, cause=str(error), next_action="systemctl restart edged"
            )
            return
        for answer in answers:
            yield from _bus_findings(answer)
        return
    try:
        buses = sensor_buses(settings, lambda _observation: None)
    except BridgeError as error:
        yield Finding(part="bus", light=Light.RED, cause=str(error), next_action="edged check-config")
        return
    for bus in buses:
        yield from _bus_findings(_asked_once(bus))


def _asked_once(bus: SensorBus) -> dict[str, Any]:
    """Run a bus until each sensor has answered, the port fails, or time is up."""
    stop = threading.Event()
    thread = threading.Thread(target=bus.run, args=(stop,))
    thread.start()
    end_s = time.monotonic() + _BUS_WITHIN_S
    try:
        while time.monotonic() < end_s and not _is_settled(bus.snapshot()):
            stop.wait(0.05)
        return asdict(bus.snapshot())
    finally:
        stop.set()
        thread.join()


def _is_settled(snapshot: BusSnapshot) -> bool:
    known = all(channel.state is not None for sensor in snapshot.sensors for channel in sensor.channels)
    return snapshot.port_error is not None or known


def _bus_findings(bus: dict[str, Any]) -> Iterator[Finding]:
    """Yield the port's finding and one for each sensor; `bus` is a BusSnapshot as a dictionary."""
    part = f"bus {bus['bus']}"
    if bus["port_error"]:
        yield Finding(
            part=part, light=Light.RED, cause=bus["port_error"], next_action=bus["port_remedy"] or ""
        )
        return
    noise = f", {bus['noise_bytes']} stray bytes" if bus["noise_bytes"] else ""
    yield Finding(part=part, light=Light.GREEN, cause=f"{bus['port']} open{noise}")
    for sensor in bus["sensors"]:
        yield _sensor_finding(sensor)


def _sensor_finding(sensor: dict[str, Any]) -> Finding:
    part = f"sensor {sensor['sensor']}"
    errors = ", ".join(f"{count} x {cause}" for cause, count in sensor["errors"].items())
    if not sensor["answers"]:
        return Finding(
            part=part,
            light=Light.RED,
            cause=f"no answer from id {sensor['device_id']}" + (f" ({errors})" if errors else ""),
            next_action="check its power, the A/B wires and its id: edged bus scan",
        )
    states = ", ".join(f"{channel['state'] or 'unknown'}" for channel in sensor["channels"])
    if any(channel["state"] == "fault" for channel in sensor["channels"]):
        causes = ", ".join(channel["cause"] for channel in sensor["channels"])
        return Finding(
            part=part,
            light=Light.RED,
            cause=f"answers, but says: {causes}",
            next_action="look at the sensor and its loop or aim; see the maker's manual",
        )
    failed = sum(sensor["errors"].values())
    often = failed > _FAILED_SHARE * sensor["requests"]
    light = Light.YELLOW if often else Light.GREEN
    action = "check wiring, termination and shielding" if often else ""
    reply = f" in {sensor['reply_p50_ms']:.0f} ms" if sensor["reply_p50_ms"] else ""
    return Finding(
        part=part,
        light=light,
        cause=f"{states}; answers{reply}" + (f"; {errors} in {sensor['requests']}" if errors else ""),
        next_action=action,
    )


def _camera(settings: CameraSettings) -> Finding:
    part = f"camera {settings.name}"
    camera = open_camera(settings)
    began_s = time.monotonic()
    try:
        frame = camera.frame()
    except CameraError as error:
        return Finding(part=part, light=Light.RED, cause=error.what, next_action=error.remedy)
    finally:
        camera.close()
    height, width = frame.image.shape[:2]
    took_s = time.monotonic() - began_s
    if frame.image.std() < 4:
        return Finding(
            part=part,
            light=Light.YELLOW,
            cause=f"a picture of one colour, {width}x{height}",
            next_action="look for a covered lens or a camera that starts up",
        )
    return Finding(part=part, light=Light.GREEN, cause=f"a picture of {width}x{height} in {took_s:.1f} s")


def _model(settings: Settings) -> Finding:
    try:
        vision = PlateVision.load(settings.model.directory, threads=settings.model.threads)
        vision.self_test()
        began_s = time.monotonic()
        vision.self_test()
    except VisionError as error:
        return Finding(
            part="model", light=Light.RED, cause=str(error), next_action="install the models again"
        )
    took_ms = (time.monotonic() - began_s) * 1000
    return Finding(
        part="model",
        light=Light.GREEN,
        cause=f"version {vision.manifest.version}, all models in {took_ms:.0f} ms",
    )


def _store(settings: Settings) -> Iterator[Finding]:
    directory = settings.store.directory
    try:
        with Archive.open_existing(directory) as archive:
            counts = archive.counts()
    except StoreError as error:
        yield Finding(part="store", light=Light.YELLOW, cause=error.what, next_action=error.remedy)
        return
    dropped = ", ".join(f"{count} x {cause}" for cause, count in counts.dropped.items())
    yield Finding(
        part="store",
        light=Light.YELLOW if dropped else Light.GREEN,
        cause=f"readable{'; dropped so far: ' + dropped if dropped else ''}",
        next_action="raise max_size_mib, or mend the uplink" if dropped else "",
    )
    age_s = 0.0
    if counts.oldest is not None:
        age_s = (Clock().now().utc - counts.oldest.utc).total_seconds()
    late = age_s > _OLD_EVENT_S or counts.rejected
    yield Finding(
        part="outbox",
        light=Light.YELLOW if late else Light.GREEN,
        cause=f"{counts.waiting} waiting, {counts.rejected} rejected"
        + (f", the oldest for {age_s / 60:.0f} min" if counts.waiting else ""),
        next_action="edged outbox" if late else "",
    )


def _disk(directory: Path) -> Finding:
    existing = next(place for place in (directory, *directory.parents) if place.exists())
    free_mib = shutil.disk_usage(existing).free >> 20
    if free_mib < _LOW_SPACE_MIB:
        action = "remove what does not belong there, or lower store.max_size_mib"
        return Finding(part="disk", light=Light.RED, cause=f"only {free_mib} MiB free", next_action=action)
    return Finding(part="disk", light=Light.GREEN, cause=f"{free_mib} MiB free at {existing}")


def _clock() -> Finding:
    now = Clock().now()
    shown = now.utc.isoformat(sep=" ", timespec="seconds")
    if now.clock_synced:
        return Finding(part="clock", light=Light.GREEN, cause=f"synchronised, {shown}")
    return Finding(
        part="clock",
        light=Light.YELLOW,
        cause=f"not synchronised, {shown}; records are corrected later",
        next_action="check NTP: timedatectl",
    )


def _cloud(settings: Settings) -> Iterator[Finding]:
    try:
        credentials = load_credentials(settings.uplink.credentials)
    except UplinkError as error:
        yield Finding(part="enrolment", light=Light.RED, cause=error.what, next_action=error.remedy)
    else:
        yield Finding(part="enrolment", light=Light.GREEN, cause=f"enrolled as {credentials.device_id}")
    began_s = time.monotonic()
    try:
        with Cloud(settings.uplink) as cloud:
            cloud.reach()
    except UplinkError as error:
        yield Finding(part="cloud", light=Light.RED, cause=error.what, next_action=error.remedy)
        return
    took_ms = (time.monotonic() - began_s) * 1000
    yield Finding(
        part="cloud", light=Light.GREEN, cause=f"{settings.uplink.cloud_url} answers in {took_ms:.0f} ms"
    )
