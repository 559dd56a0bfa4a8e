"""What the daemon tells a bus about its port and its sensors. Frozen and checked on construction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from firmware_bridge.errors import Fault, SettingsError
from firmware_bridge.link import LinkTiming
from firmware_bridge.profiles import Compare, OccupancyRule, SensorProfile

_THRESHOLDS = ("occupied_at", "vacant_at", "confirm_readings")


class Rs485Mode(StrEnum):
    """Who switches the transmitter on: the adapter by itself, or the kernel driver through RTS."""

    ADAPTER = "adapter"
    RTS = "rts"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSettings:
    """One RS-485 bus. `port` is best a /dev/serial/by-path name: ttyUSB numbers move.

    `poll_interval_s`: the least time between two readings of one sensor; 0 polls as fast as the wire allows.
    `fault_after_s`: a channel that gave no good reading for so long is FAULT; never less than four rounds.
    """

    name: str
    port: str
    baudrate: int = 9600
    parity: str = "N"
    stop_bits: int = 1
    rs485: Rs485Mode = Rs485Mode.ADAPTER
    poll_interval_s: float = 0.2
    fault_after_s: float = 5.0

    def __post_init__(self) -> None:
        faults = []
        if not self.port:
            faults.append(Fault(key="port", got=self.port, remedy="name the serial device"))
        if not 1200 <= self.baudrate <= 1_000_000:
            faults.append(Fault(key="baudrate", got=self.baudrate, remedy="write 1200 to 1000000"))
        if self.parity not in ("N", "E", "O"):
            faults.append(Fault(key="parity", got=self.parity, remedy='write "N", "E" or "O"'))
        if self.stop_bits not in (1, 2):
            faults.append(Fault(key="stop_bits", got=self.stop_bits, remedy="write 1 or 2"))
        if not 0 <= self.poll_interval_s <= 60:
            faults.append(Fault(key="poll_interval_s", got=self.poll_interval_s, remedy="write 0 to 60"))
        if not 0.5 <= self.fault_after_s <= 3600:
            faults.append(Fault(key="fault_after_s", got=self.fault_after_s, remedy="write 0.5 to 3600"))
        if faults:
            raise SettingsError(f"bus {self.name}", faults)

    @property
    def timing(self) -> LinkTiming:
        return LinkTiming(baudrate=self.baudrate)


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorSettings:
    """One sensor on a bus: its unit id, its profile, the channels in use and what differs from the profile.

    `channels` empty: all that the profile has. `thresholds` overrides occupied_at, vacant_at and
    confirm_readings; `reapply` overrides the values of settings written after power loss, by register name.
    """

    name: str
    device_id: int
    profile: SensorProfile
    channels: tuple[int, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    reapply: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        faults = [
            *self._id_faults(),
            *self._channel_faults(),
            *self._threshold_faults(),
            *self._reapply_faults(),
        ]
        if faults:
            raise SettingsError(f"sensor {self.name}", faults)

    @property
    def used_channels(self) -> tuple[int, ...]:
        return self.channels or self.profile.channels

    @property
    def occupancy(self) -> OccupancyRule:
        """The profile's rule with this sensor's thresholds."""
        rule = self.profile.occupancy
        return OccupancyRule(
            signal=rule.signal,
            compare=rule.compare,
            occupied_at=float(self.thresholds.get("occupied_at", rule.occupied_at)),
            vacant_at=float(self.thresholds.get("vacant_at", rule.vacant_at)),
            confirm_readings=int(self.thresholds.get("confirm_readings", rule.confirm_readings)),
            on_invalid=rule.on_invalid,
        )

    def _id_faults(self) -> Iterable[Fault]:
        link = self.profile.link
        if not link.first_device_id <= self.device_id <= link.last_device_id:
            remedy = f"{self.profile.name} can have {link.first_device_id} to {link.last_device_id}"
            yield Fault(key="device_id", got=self.device_id, remedy=remedy)

    def _channel_faults(self) -> Iterable[Fault]:
        strange = [channel for channel in self.channels if channel not in self.profile.channels]
        if strange or len(set(self.channels)) != len(self.channels):
            remedy = f"{self.profile.name} has channels 1 to {len(self.profile.channels)}, each named once"
            yield Fault(key="channels", got=list(self.channels), remedy=remedy)

    def _threshold_faults(self) -> Iterable[Fault]:
        allowed = _THRESHOLDS if self.profile.occupancy.compare is not Compare.BIT else ("confirm_readings",)
        for key, value in self.thresholds.items():
            if key not in allowed:
                yield Fault(key=key, got=value, remedy=f"{self.profile.name} takes {', '.join(allowed)}")
        confirm = self.thresholds.get("confirm_readings", 1)
        if not 1 <= confirm <= 20 or confirm != int(confirm):
            yield Fault(key="confirm_readings", got=confirm, remedy="write a whole number from 1 to 20")
        rule = self.occupancy
        if rule.compare is Compare.BELOW and rule.vacant_at <= rule.occupied_at:
            yield Fault(
                key="vacant_at",
                got=rule.vacant_at,
                remedy=f"must lie above occupied_at ({rule.occupied_at:g})",
            )
        if rule.compare is Compare.ABOVE and rule.vacant_at >= rule.occupied_at:
            yield Fault(
                key="vacant_at",
                got=rule.vacant_at,
                remedy=f"must lie below occupied_at ({rule.occupied_at:g})",
            )

    def _reapply_faults(self) -> Iterable[Fault]:
        known = {rule.register for rule in self.profile.reapply}
        for key, value in self.reapply.items():
            if key not in known:
                remedy = f"{self.profile.name} re-applies {', '.join(sorted(known)) or 'nothing'}"
                yield Fault(key=f"reapply.{key}", got=value, remedy=remedy)
            elif not 0 <= value <= 0xFFFF:
                yield Fault(key=f"reapply.{key}", got=value, remedy="write 0 to 65535")


def check_sensors(bus: BusSettings, sensors: Iterable[SensorSettings]) -> None:
    """Refuse what cannot share one bus: the same unit id or name twice.

    Raises SettingsError with all faults.
    """
    faults = []
    ids: dict[int, str] = {}
    names: set[str] = set()
    for sensor in sensors:
        if sensor.device_id in ids:
            remedy = f"sensor {ids[sensor.device_id]} has that id on this bus: give each its own"
            faults.append(Fault(key=f"{sensor.name}.device_id", got=sensor.device_id, remedy=remedy))
        if sensor.name in names:
            faults.append(
                Fault(key=f"{sensor.name}.name", got=sensor.name, remedy="is taken on this bus: rename one")
            )
        ids.setdefault(sensor.device_id, sensor.name)
        names.add(sensor.name)
    if faults:
        raise SettingsError(f"bus {bus.name}", faults)
