"""From the daemon's settings to the bus room's own: profiles, buses, sensors. Opens nothing."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields

from edged.box.data_files import folders
from edged.domain.trouble import Trouble
from edged.settings import Settings, refused
from firmware_bridge import (
    BusSettings,
    Fault,
    Observation,
    ProfilesFound,
    SensorBus,
    SensorOptions,
    SensorProfile,
    SensorSettings,
    find_profiles,
)
from firmware_bridge import SettingsError as BridgeSettingsError
from firmware_bridge.blocks import in_words, occupancy_parts
from firmware_bridge.sharing import link_mismatch


def sensor_profiles(settings: Settings) -> Mapping[str, SensorProfile]:
    """Return the usable profiles by name; the first folder to name one wins."""
    return _found(settings).profiles


def sensor_buses(settings: Settings, on_observation: Callable[[Observation], None]) -> list[SensorBus]:
    """Return the buses with their sensors. Raises BridgeError; `troubles_of` says why."""
    profiles = sensor_profiles(settings)
    return [SensorBus(bus, sensors_of(settings, bus.name, profiles), on_observation) for bus in settings.bus]


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
    yield from _channels(settings, profiles)
    yield from _fixed_links(settings, profiles)
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
        SensorBus(bus, sensors_of(settings, bus.name, profiles), lambda _observation: None)
    except BridgeSettingsError as error:
        for fault in error.faults:
            yield trouble_of(fault, f'bus "{bus.name}": {error.where}')


def _channels(settings: Settings, profiles: Mapping[str, SensorProfile]) -> Iterator[Trouble]:
    """Yield berths whose channel is missing or not there: a guess could be a neighbour's."""
    channels = {sensor.name: profiles[sensor.profile].channel_numbers for sensor in settings.sensor}
    for number, berth in enumerate(settings.berth, start=1):
        known = channels[berth.sensor]
        key = f'berth[{number}] "{berth.berth_no}": channel'
        there_are = f"sensor {berth.sensor} has channels {known[0]} to {known[-1]}"
        if len(known) > 1 and berth.channel is None:
            yield refused(key, "none", f"is missing; {there_are}: write which one watches this berth")
        elif berth.watched_by[1] not in known:
            yield refused(key, str(berth.channel), there_are)


def _fixed_links(settings: Settings, profiles: Mapping[str, SensorProfile]) -> Iterator[Trouble]:
    for number, sensor, bus, profile, mismatch in _mismatches(settings, profiles):
        if profile.link.fixed:
            key = f'sensor[{number}] "{sensor.name}": profile'
            yield refused(key, repr(profile.name), f"{mismatch}: change bus {bus.name}, or use another bus")


def notes(settings: Settings) -> Iterator[str]:
    """Yield what a technician should know though nothing is wrong."""
    profiles = sensor_profiles(settings)
    for _, sensor, _, profile, mismatch in _mismatches(settings, profiles):
        if not profile.link.fixed:
            yield f"sensor {sensor.name}: {mismatch}: set the device to it before it is mounted"


def berths_read(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield for every berth what is read for it: sensor, unit, function, wire address, bit."""
    profiles = sensor_profiles(settings)
    reads: dict[tuple[str, int], str] = {}
    for bus in settings.bus:
        for sensor in sensors_of(settings, bus.name, profiles):
            for part in occupancy_parts(sensor):
                reads[sensor.name, part.channel] = f"{sensor.name} on {bus.name}, {in_words(part)}"
    for berth in settings.berth:
        yield berth.berth_no, reads[berth.watched_by]


def _mismatches(
    settings: Settings, profiles: Mapping[str, SensorProfile]
) -> Iterator[tuple[int, SensorOptions, BusSettings, SensorProfile, str]]:
    buses = {bus.name: bus for bus in settings.bus if bus.is_serial}
    for number, sensor in enumerate(settings.sensor, start=1):
        if (bus := buses.get(sensor.bus)) and (mismatch := link_mismatch(bus, profiles[sensor.profile])):
            yield number, sensor, bus, profiles[sensor.profile], mismatch


def sensors_of(settings: Settings, bus: str, profiles: Mapping[str, SensorProfile]) -> list[SensorSettings]:
    """Return the sensors of one bus, with the channels that berths use."""
    used: dict[str, set[int]] = {}
    for berth in settings.berth:
        sensor_name, channel = berth.watched_by
        used.setdefault(sensor_name, set()).add(channel)
    return [
        SensorSettings(
            profile=profiles[sensor.profile],
            channels=tuple(
                sorted(used.get(sensor.name, set()) & set(profiles[sensor.profile].channel_numbers))
            ),
            **{field.name: getattr(sensor, field.name) for field in fields(SensorOptions)},
        )
        for sensor in settings.sensor
        if sensor.bus == bus
    ]
