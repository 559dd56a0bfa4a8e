"""The parts of a box, named as health and `edged diag` name them, and which parts each of them needs."""

from edged.domain.causes import Needs
from edged.settings.model import Settings

# Parts that every box has once. Parts that others need come first.
ONCE = {
    "config": (),
    "daemon": ("config",),
    "disk": (),
    "clock": (),
    "model": (),
    "profiles": ("config",),
    "bus": ("config",),
    "store": ("disk",),
    "control": ("disk",),
    "pictures": ("disk", "store"),
    "evidence": ("disk",),
    "retention": ("disk", "store"),
    "arrivals": ("store",),
    "readings": ("store", "model"),
    "enrolment": (),
    "cloud": (),
    "uplink": ("enrolment", "cloud"),
    "uploads": ("uplink",),
    "outbox": ("store", "uplink"),
    "snapshot api": (),
}

# How the names of the other parts begin: one a bus, a sensor, a camera, a berth.
NAMED = (
    "bus ",
    "sensor ",
    "camera ",
    "berth ",
    "polygon of berth ",
    "view of berth ",
    "view of camera ",
    "picture of camera ",
    "plate of berth ",
    "readings of berth ",
    "readings of camera ",
)


def needs_of(settings: Settings) -> Needs:
    """Return what each part of this box needs: port -> sensor -> berth, camera -> berth, disk -> store."""
    needs: dict[str, tuple[str, ...]] = dict(ONCE)
    for camera in settings.camera:
        for what in ("view", "picture", "readings"):
            needs[f"{what} of camera {camera.name}"] = (f"camera {camera.name}",)
    for sensor in settings.sensor:
        needs[f"sensor {sensor.name}"] = (f"bus {sensor.bus}",)
    for berth in settings.berth:
        needs[f"berth {berth.berth_no}"] = (f"sensor {berth.sensor}",)
        for what in ("polygon", "view", "readings"):
            needs[f"{what} of berth {berth.berth_no}"] = (f"camera {berth.camera}",)
    return needs
