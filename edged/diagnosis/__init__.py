"""What a technician at the pole wants to know: does each part work, if not why, and what to do next.

Every check runs the real part: the port is opened, each sensor asked, each camera takes a picture, the
models run, the cloud is reached. While the daemon runs it owns the buses and is asked instead.
"""

from collections.abc import Iterator
from pathlib import Path

from edged.control import ControlError, NotRunning, ask
from edged.diagnosis.buses import check_buses
from edged.diagnosis.parts import (
    check_camera,
    check_clock,
    check_cloud,
    check_disk,
    check_model,
    check_store,
)
from edged.domain.health import Finding, HealthStatus
from edged.settings import Settings

__all__ = ["diagnose"]


def diagnose(settings: Settings) -> Iterator[Finding]:
    """Yield one finding after another, as each check ends. Nothing raises: what fails is a finding."""
    running = _is_running(settings.store.directory)
    what = "the daemon runs and is asked for its buses" if running else "the daemon does not run"
    action = "" if running else "start it: systemctl start edged (journalctl -u edged tells why it stopped)"
    yield Finding(
        where="daemon",
        status=HealthStatus.OK if running else HealthStatus.DEGRADED,
        cause=what,
        remedy=action,
    )
    yield from check_buses(settings, running)
    for camera in settings.camera:
        yield check_camera(camera, [berth for berth in settings.berth if berth.camera == camera.name])
    yield check_model(settings)
    yield from check_store(settings)
    yield check_disk(settings.store.directory)
    yield check_clock()
    yield from check_cloud(settings)


def _is_running(directory: Path) -> bool:
    try:
        ask(directory, "health", timeout_s=5)
    except NotRunning:
        return False
    except ControlError:
        return True
    return True
