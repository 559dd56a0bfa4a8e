"""What can share one bus, and one unit id on it."""

from collections.abc import Iterable

from firmware_bridge.errors import Fault, SettingsError
from firmware_bridge.profiles import SensorProfile
from firmware_bridge.settings import BusSettings, SensorSettings


def check_sensors(bus: BusSettings, sensors: Iterable[SensorSettings]) -> None:
    """Refuse what cannot share one bus: a name twice, one input twice, two devices with one unit id.

    Raises SettingsError with all faults.
    """
    faults = []
    units: dict[int, list[SensorSettings]] = {}
    names: set[str] = set()
    for sensor in sensors:
        if sensor.name in names:
            remedy = "is taken on this bus: rename one"
            faults.append(Fault(key=f"{sensor.name}.name", got=sensor.name, remedy=remedy))
        names.add(sensor.name)
        for other in units.get(sensor.device_id, ()):
            if remedy := _cannot_share(sensor, other):
                faults.append(Fault(key=f"{sensor.name}.device_id", got=sensor.device_id, remedy=remedy))
                break
        units.setdefault(sensor.device_id, []).append(sensor)
    if faults:
        raise SettingsError(f"bus {bus.name}", faults)


def link_mismatch(bus: BusSettings, profile: SensorProfile) -> str:
    """Where the bus runs otherwise than the device is delivered; empty where both agree."""
    link = profile.link
    if (link.baudrate, link.parity, link.stop_bits) == (bus.baudrate, bus.parity.letter, bus.stop_bits):
        return ""
    kind = "is fixed at" if link.fixed else "is delivered with"
    return f"{profile.name} {kind} {link.text}, the bus runs with {bus.link_text}"


def _cannot_share(sensor: SensorSettings, other: SensorSettings) -> str:
    """Why two sensors cannot be inputs of one device; empty where they can."""
    mine, theirs = sensor.profile, other.profile
    if mine.name != theirs.name and mine.identity is not None and theirs.identity is not None:
        what = f"{theirs.name} is another device"
        return f"sensor {other.name} has that id on this bus, and {what}: give each its own"
    shared = _inputs(sensor) & _inputs(other)
    if shared:
        return f"sensor {other.name} has that id on this bus and reads the same input: give each its own"
    return ""


def _inputs(sensor: SensorSettings) -> set[tuple[str, int, int]]:
    """Where the occupancy of each used channel lies: table, wire address, bit."""
    signal = sensor.occupancy.signal
    register = sensor.profile.register_of(signal)
    places = (sensor.profile.place(register, channel) for channel in sensor.used_channels)
    return {(register.table, place.address, register.bits.get(signal, place.bit)) for place in places}
