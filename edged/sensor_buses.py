"""From the daemon's settings to the bus room's own: profiles, buses, sensors. Opens nothing."""

from collections.abc import Callable, Iterator, Mapping

from edged.data_files import folders
from edged.domain.trouble import Trouble
from edged.settings import BusSettings, Settings, refused
from firmware_bridge import BusSettings as BridgeBusSettings
from firmware_bridge import (
    Fault,
    Observation,
    ProfilesFound,
    Rs485Mode,
    SensorBus,
    SensorProfile,
    find_profiles,
)
from firmware_bridge import SensorSettings as BridgeSensorSettings
from firmware_bridge import SettingsError as BridgeSettingsError

_PARITY_LETTER = {"none": "N", "even": "E", "odd": "O"}


def sensor_profiles(settings: Settings) -> Mapping[str, SensorProfile]:
    """Return the usable profiles by name; the first folder to name one wins."""
    return _found(settings).profiles


def sensor_buses(settings: Settings, on_observation: Callable[[Observation], None]) -> list[SensorBus]:
    """Return the buses with their sensors. Raises BridgeError; `troubles_of` says why."""
    profiles = sensor_profiles(settings)
    return [
        SensorBus(bus_of(bus), sensors_of(settings, bus.name, profiles), on_observation)
        for bus in settings.bus
    ]


def troubles_of(settings: Settings) -> Iterator[Trouble]:
    """Yield what only shows with the profiles at hand: unknown profiles, channels, thresholds, ids."""
    found = _found(settings)
    profiles = found.profiles
    unknown = [sensor for sensor in settings.sensor if sensor.profile not in profiles]
    for sensor in unknown:
        number = settings.sensor.index(sensor) + 1
        known = ", ".join(sorted(profiles)) or "none"
        remedy = f"no profile has this name; there are {known}"
        if sensor.profile in found.spoilt:
            remedy = "the profile of this name is faulty, see below"
        key = f'sensor[{number}] "{sensor.name}": profile'
        yield refused(key, repr(sensor.profile), remedy)
    if unknown:
        yield from spoilt_profiles(settings)
        return
    yield from _missing_channels(settings, profiles)
    for bus in settings.bus:
        yield from _refused(bus, settings, profiles)


def spoilt_profiles(settings: Settings) -> Iterator[Trouble]:
    """Yield what is wrong with profile files. The daemon runs without those that no sensor names."""
    for error in _found(settings).errors:
        for fault in error.faults:
            yield trouble_of(fault, f"profile {error.file}")


def trouble_of(fault: Fault, where: str) -> Trouble:
    """Return the trouble that a fault of the bus room is; `where` names its file or bus."""
    return refused(f"{where}: {fault.key}", repr(fault.got), fault.remedy)


def _found(settings: Settings) -> ProfilesFound:
    return find_profiles(folders("sensors", settings.profiles))


def _refused(
    bus: BusSettings, settings: Settings, profiles: Mapping[str, SensorProfile]
) -> Iterator[Trouble]:
    try:
        SensorBus(bus_of(bus), sensors_of(settings, bus.name, profiles), lambda _observation: None)
    except BridgeSettingsError as error:
        for fault in error.faults:
            yield trouble_of(fault, f'bus "{bus.name}": {error.where}')


def _missing_channels(settings: Settings, profiles: Mapping[str, SensorProfile]) -> Iterator[Trouble]:
    channels = {sensor.name: profiles[sensor.profile].channels for sensor in settings.sensor}
    for number, berth in enumerate(settings.berth, start=1):
        if berth.channel not in channels[berth.sensor]:
            key = f'berth[{number}] "{berth.berth_no}": channel'
            remedy = f"sensor {berth.sensor} has channels 1 to {len(channels[berth.sensor])}"
            yield refused(key, str(berth.channel), remedy)


def bus_of(bus: BusSettings) -> BridgeBusSettings:
    return BridgeBusSettings(
        name=bus.name,
        port=bus.port,
        baudrate=bus.baudrate,
        parity=_PARITY_LETTER[bus.parity],
        stop_bits=bus.stop_bits,
        rs485=Rs485Mode.RTS if bus.rs485 else Rs485Mode.ADAPTER,
    )


def sensors_of(
    settings: Settings, bus: str, profiles: Mapping[str, SensorProfile]
) -> list[BridgeSensorSettings]:
    """Return the sensors of one bus, with the channels that berths use."""
    used: dict[str, set[int]] = {}
    for berth in settings.berth:
        channels = profiles[_profile_of(settings, berth.sensor)].channels
        used.setdefault(berth.sensor, set()).update({berth.channel} & set(channels))
    return [
        BridgeSensorSettings(
            name=sensor.name,
            device_id=sensor.device_id,
            profile=profiles[sensor.profile],
            channels=tuple(sorted(used.get(sensor.name, ()))),
            thresholds=sensor.thresholds,
            reapply=sensor.reapply,
        )
        for sensor in settings.sensor
        if sensor.bus == bus
    ]


def _profile_of(settings: Settings, sensor_name: str) -> str:
    return next(sensor.profile for sensor in settings.sensor if sensor.name == sensor_name)
