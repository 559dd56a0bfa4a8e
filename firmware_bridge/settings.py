"""What a settings file says of buses and sensors: frozen types, checked on construction.

The daemon's own settings use these types; whatever is left out has the profile's value.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, Strict
from pydantic.dataclasses import dataclass

from firmware_bridge.errors import Fault, SettingsError
from firmware_bridge.link import LinkTiming
from firmware_bridge.profile_rules import Compare, OccupancyRule, wrong_side
from firmware_bridge.profiles import LinkProfile, SensorProfile

_STRICT_KEYS = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
_THRESHOLDS = ("occupied_at", "vacant_at", "confirm_readings")

NAME_FORM = r"^[0-9A-Za-z_.-]{1,32}$"
# A serial device, a Modbus TCP gateway, or a transparent serial server.
PORT_FORM = r"^(/.*|(rtu\+)?tcp://(\[[0-9a-fA-F:.]+\]|[^/\s:\[\]]+)(:[1-9][0-9]{0,4})?/?)$"
MODBUS_TCP_PORT = 502
# Serial servers answer in 5 to 200 ms, and mobile links later.
_NETWORK_LATENCY_S = 0.5

# A number in quotes, or `true` for 1, is a slip of the pen, not a value.
Int = Annotated[int, Strict()]
Float = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=NAME_FORM)]
ResponseTimeout = Annotated[Int, Field(ge=5, le=5000)]
ReplyDelay = Annotated[Int, Field(ge=0, le=10_000)]
Gap = Annotated[Int, Field(ge=0, le=1000)]
PollInterval = Annotated[Float, Field(ge=0, le=60)]
FaultAfter = Annotated[Float, Field(ge=0.5, le=3600)]
RtsDelay = Annotated[Int, Field(ge=0, le=1000)]

DEFAULT_POLL_INTERVAL_S = 0.2
DEFAULT_FAULT_AFTER_S = 5.0


class Parity(StrEnum):
    NONE = "none"
    EVEN = "even"
    ODD = "odd"

    @property
    def letter(self) -> str:
        """As profiles and 9600 8N1 have it."""
        return self.value[0].upper()


def parity_of(given: Any) -> Any:
    """The parity that a letter stands for; anything else as it is, to be checked."""
    return next((parity for parity in Parity if parity.letter == given), given)


class RtsLevel(StrEnum):
    HIGH = "high"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT_KEYS)
class BusSettings:
    """One RS-485 bus. Name `port` by /dev/serial/by-path/..., which survives a reboot; ttyUSB0 does not.

    `port` may be a Modbus TCP gateway (tcp://192.168.1.20:502) or a transparent serial server
    (rtu+tcp://192.168.1.20:4196); `baudrate` is then that of its serial side.

    `poll_interval_s`: the least time between two readings of one sensor; 0 polls as fast as the wire allows.
    `fault_after_s`: a channel that gave no good reading for so long is FAULT; never less than four rounds.
    `response_timeout_ms`, `max_reply_delay_ms`: for all its sensors, instead of the profiles' values.
    `gap_ms`: the silence before any request, where a device needs more than the standard's t3.5.
    """

    name: Name
    port: Annotated[str, Field(pattern=PORT_FORM)]
    baudrate: Annotated[Int, Field(ge=1200, le=1_000_000)] = 9600
    parity: Annotated[Parity, BeforeValidator(parity_of)] = Parity.NONE
    stop_bits: Annotated[Int, Field(ge=1, le=2)] = 1
    rs485: Annotated[bool, Strict()] = False  # the driver switches the transmitter by RTS (UARTs)
    rts_on_send: RtsLevel = RtsLevel.HIGH
    rts_before_send_ms: RtsDelay = 0
    rts_after_send_ms: RtsDelay = 0
    poll_interval_s: PollInterval = DEFAULT_POLL_INTERVAL_S
    fault_after_s: FaultAfter = DEFAULT_FAULT_AFTER_S
    response_timeout_ms: ResponseTimeout | None = None
    max_reply_delay_ms: ReplyDelay | None = None
    gap_ms: Gap | None = None

    @property
    def is_serial(self) -> bool:
        return self.port.startswith("/")

    @property
    def timing(self) -> LinkTiming:
        if self.is_serial:
            return LinkTiming(baudrate=self.baudrate)
        is_framed = self.port.startswith("tcp://")
        return LinkTiming(baudrate=self.baudrate, is_framed=is_framed, latency_s=_NETWORK_LATENCY_S)

    @property
    def link_text(self) -> str:
        """Rate, parity and stop bits as technicians write them: 9600 8N1."""
        return f"{self.baudrate} 8{self.parity.letter}{self.stop_bits}"


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT_KEYS)
class SensorOptions:
    """What a site says of one device.

    `thresholds` overrides the profile's occupied_at, vacant_at and confirm_readings; `reapply` the values of
    settings that are written again after a power loss, by register name. The times override those of bus and
    profile.
    """

    name: Name
    device_id: Annotated[Int, Field(ge=1, le=255)]  # the LD120 answers at 254, beyond the standard's 247
    thresholds: Mapping[str, Float] = Field(default_factory=dict)
    reapply: Mapping[str, Float] = Field(default_factory=dict)
    response_timeout_ms: ResponseTimeout | None = None
    max_reply_delay_ms: ReplyDelay | None = None
    gap_ms: Gap | None = None
    poll_interval_s: PollInterval | None = None
    fault_after_s: FaultAfter | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, config=_STRICT_KEYS)
class SensorSettings(SensorOptions):
    """One sensor with its profile and the channels in use; `channels` empty: all that the profile has."""

    profile: SensorProfile
    channels: tuple[int, ...] = ()

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
    def link(self) -> LinkProfile:
        return self.profile.link

    @property
    def response_timeout_s(self) -> float:
        own_ms = self.response_timeout_ms
        return (self.link.response_timeout_ms if own_ms is None else own_ms) / 1000

    @property
    def max_reply_delay_s(self) -> float:
        own_ms = self.max_reply_delay_ms
        return (self.link.max_reply_delay_ms if own_ms is None else own_ms) / 1000

    @property
    def line_gap_s(self) -> float:
        """The silence that this device needs on the line before any request."""
        return (self.link.gap_ms if self.gap_ms is None else self.gap_ms) / 1000

    def on(self, bus: BusSettings) -> "SensorSettings":
        """The sensor with the times that its bus sets for all, where it has none of its own."""
        names = ("response_timeout_ms", "max_reply_delay_ms", "poll_interval_s", "fault_after_s")
        changes = {name: getattr(bus, name) for name in names if getattr(self, name) is None}
        return replace(self, **changes)

    @property
    def used_channels(self) -> tuple[int, ...]:
        return self.channels or self.profile.channel_numbers

    @property
    def occupancy(self) -> OccupancyRule:
        """The profile's rule with this sensor's thresholds."""
        changes: dict[str, Any] = {key: float(value) for key, value in self.thresholds.items()}
        if "confirm_readings" in changes:
            changes["confirm_readings"] = int(changes["confirm_readings"])
        return self.profile.occupancy.model_copy(update=changes)

    def _id_faults(self) -> Iterator[Fault]:
        if not self.link.may_have(self.device_id):
            first, last = self.link.device_ids
            remedy = f"{self.profile.name} can have {first} to {last}"
            yield Fault(key="device_id", got=self.device_id, remedy=remedy)

    def _channel_faults(self) -> Iterator[Fault]:
        numbers = self.profile.channel_numbers
        strange = [channel for channel in self.channels if channel not in numbers]
        if strange or len(set(self.channels)) != len(self.channels):
            remedy = f"{self.profile.name} has channels {numbers[0]} to {numbers[-1]}, each named once"
            yield Fault(key="channels", got=list(self.channels), remedy=remedy)

    def _threshold_faults(self) -> Iterator[Fault]:
        rule = self.profile.occupancy
        allowed = {Compare.BIT: ("occupied_at", "confirm_readings"), Compare.STATES: ("confirm_readings",)}
        known = allowed.get(rule.compare, _THRESHOLDS)
        strange = {key: value for key, value in self.thresholds.items() if key not in known}
        for key, value in strange.items():
            yield Fault(key=key, got=value, remedy=f"{self.profile.name} takes {', '.join(known)}")
        confirm = self.thresholds.get("confirm_readings", 1)
        if not 1 <= confirm <= 20 or confirm != int(confirm):
            yield Fault(key="confirm_readings", got=confirm, remedy="write a whole number from 1 to 20")
        occupied_at = self.thresholds.get("occupied_at", rule.occupied_at)
        vacant_at = self.thresholds.get("vacant_at", rule.vacant_at)
        if rule.compare is Compare.BIT and occupied_at not in (0, 1):
            remedy = "write 1, or 0 for a normally closed contact"
            yield Fault(key="occupied_at", got=occupied_at, remedy=remedy)
        if occupied_at is None or vacant_at is None:
            return
        if side := wrong_side(rule.compare, occupied_at, vacant_at):
            remedy = f"must lie {side} occupied_at ({occupied_at:g})"
            yield Fault(key="vacant_at", got=vacant_at, remedy=remedy)

    def _reapply_faults(self) -> Iterator[Fault]:
        known = {rule.register_name for rule in self.profile.reapply}
        for key, value in self.reapply.items():
            if key not in known:
                remedy = f"{self.profile.name} re-applies {', '.join(sorted(known)) or 'nothing'}"
                yield Fault(key=f"reapply.{key}", got=value, remedy=remedy)
            elif self.profile.registers[key].raw_of(value) is None:
                remedy = f"a {self.profile.registers[key].type} cannot hold it"
                yield Fault(key=f"reapply.{key}", got=value, remedy=remedy)
