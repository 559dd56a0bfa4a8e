"""The simulator's own settings file (sim.toml); its keys are listed in the package's docstring."""

import sysconfig
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_bridge.errors import BridgeError, Fault, SettingsError
from firmware_bridge.fields import Fields
from firmware_bridge.link import LinkTiming
from firmware_bridge.profile_folders import ProfilesFound, find_profiles
from firmware_bridge.profiles import SensorProfile
from firmware_bridge.simulator.device import SimulatedDevice
from firmware_bridge.simulator.faults import FaultPlan, LineFaults
from firmware_bridge.simulator.traffic import Deed


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """One simulated bus."""

    link: Path
    control: Path | None
    timing: LinkTiming
    seed: int
    devices: tuple[SimulatedDevice, ...]
    faults: LineFaults
    traffic: tuple[Deed, ...]


def standard_profile_directories() -> list[Path]:
    """Where profiles lie: /etc/edged, installed data, then the checkout."""
    checkout = Path(__file__).resolve().parents[2] / "config" / "sensors"
    installed = Path(sysconfig.get_path("data")) / "share" / "edged" / "sensors"
    return [Path("/etc/edged/sensors"), installed, checkout]


def load_simulator_settings(path: Path) -> SimulatorSettings:
    """Read sim.toml. Raises SettingsError with all faults, those of profiles that a device names included."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SettingsError(
            str(path), [Fault(key="file", got=str(exc), remedy="give a readable TOML file")]
        ) from exc
    faults: list[Fault] = []
    fields = Fields(document, "", faults)
    link = fields.text("link")
    control = fields.text("control", default="")
    timing = LinkTiming(baudrate=fields.integer("baudrate", low=300, high=1_000_000, default=9600))
    seed = fields.integer("seed", low=0, high=2**32, default=1)
    directories = [Path(item) for item in fields.raw("profiles", [])] or standard_profile_directories()
    found = find_profiles(directories)
    devices = [_device(part, found) for part in fields.sections("device")]
    line_faults = _checked(LineFaults, "faults", document.get("faults", {}), faults)
    traffic = [_deed(at, values, faults) for at, values in enumerate(document.get("traffic", []))]
    fields.mark("faults", "traffic")
    fields.refuse_unknown()
    _refuse_shared_ids(devices, faults)
    if faults:
        raise SettingsError(str(path), faults)
    return SimulatorSettings(
        link=Path(link),
        control=Path(control) if control else None,
        timing=timing,
        seed=seed,
        devices=tuple(device for device in devices if device),
        faults=line_faults,
        traffic=tuple(deed for deed in traffic if deed),
    )


def _device(fields: Fields, found: ProfilesFound) -> SimulatedDevice | None:
    profile = _profile(fields, found)
    device_id = fields.integer("id", low=1, high=255)
    turnaround_ms = fields.number("turnaround_ms", low=0.0, default=5.0)
    occupied = fields.raw("occupied", False)
    plan = _checked(FaultPlan, "faults", fields.raw("faults", {}), fields.faults)
    fields.refuse_unknown()
    if profile is None:
        return None
    channels = ((1,) if occupied else ()) if isinstance(occupied, bool) else occupied
    return SimulatedDevice(
        profile, device_id, occupied=channels, turnaround_s=turnaround_ms / 1000, faults=plan
    )


def _profile(fields: Fields, found: ProfilesFound) -> SensorProfile | None:
    """Return the profile that a device names; a faulty file's own faults are reported with the device."""
    name = fields.raw("profile", None)
    if not isinstance(name, str) or name not in found.spoilt:
        name = fields.one_of("profile", tuple(sorted(found.profiles)))
        return found.profiles.get(name)
    for error in found.errors:
        if error.name == name:
            fields.faults.extend(
                Fault(key=f"profile {error.file}: {fault.key}", got=fault.got, remedy=fault.remedy)
                for fault in error.faults
            )
    return None


def _checked(kind: Any, where: str, values: Any, faults: list[Fault]) -> Any:
    try:
        return kind.from_mapping(where, values)
    except SettingsError as exc:
        faults.extend(exc.faults)
        return kind()


def _deed(index: int, values: dict[str, Any], faults: list[Fault]) -> Deed | None:
    try:
        return Deed.from_mapping(values)
    except BridgeError as exc:
        faults.append(Fault(key=f"traffic[{index}]", got=values, remedy=str(exc)))
        return None


def _refuse_shared_ids(devices: Iterable[SimulatedDevice | None], faults: list[Fault]) -> None:
    seen: set[int] = set()
    for device in devices:
        if device is not None and device.device_id in seen:
            faults.append(Fault(key="device.id", got=device.device_id, remedy="is on this bus already"))
        if device is not None:
            seen.add(device.device_id)
