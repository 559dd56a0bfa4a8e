"""Sensor profiles: what a device's registers mean, as data.

A profile is one TOML file (`config/sensors/*.toml`, documented by `profile.schema.json` beside them). A new
device is a new file. Everything is checked here, and all faults of a file are reported at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Table(StrEnum):
    """The four address spaces of Modbus."""

    COILS = "coils"
    DISCRETE_INPUTS = "discrete_inputs"
    INPUT_REGISTERS = "input_registers"
    HOLDING_REGISTERS = "holding_registers"

    @property
    def read_function(self) -> int:
        return _READ_FUNCTION[self]

    @property
    def holds_bits(self) -> bool:
        return self in (Table.COILS, Table.DISCRETE_INPUTS)


_READ_FUNCTION = {
    Table.COILS: 1,
    Table.DISCRETE_INPUTS: 2,
    Table.HOLDING_REGISTERS: 3,
    Table.INPUT_REGISTERS: 4,
}


class ValueType(StrEnum):
    BIT = "bit"
    UINT16 = "uint16"
    INT16 = "int16"
    UINT32 = "uint32"
    INT32 = "int32"

    @property
    def words(self) -> int:
        return 2 if self in (ValueType.UINT32, ValueType.INT32) else 1

    @property
    def signed(self) -> bool:
        return self in (ValueType.INT16, ValueType.INT32)


class WordOrder(StrEnum):
    MSB_FIRST = "msb_first"
    LSB_FIRST = "lsb_first"


class Compare(StrEnum):
    """How a signal becomes occupied or vacant."""

    BIT = "bit"  # occupied while the bit is set
    BELOW = "below"  # distance: occupied at or below one threshold, vacant at or above the other
    ABOVE = "above"  # deviation: the other way round


class OnInvalid(StrEnum):
    """What an invalid value (no echo, out of range) says about the berth."""

    HOLD = "hold"  # nothing: keep the state, fault when it lasts
    VACANT = "vacant"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkProfile:
    """The device on its line: factory link settings, limits and the times it takes.

    `response_timeout_ms`: from the end of a request to the first character of its reply, as promised by the
    maker.
    `max_reply_delay_ms`: how late beyond that a reply has ever been seen; until then it is waited out.
    """

    baudrate: int
    parity: str
    stop_bits: int
    default_device_id: int
    first_device_id: int
    last_device_id: int
    response_timeout_ms: int
    max_reply_delay_ms: int
    min_gap_ms: int
    max_registers: int
    max_bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One value of the register map. `address` is what goes on the wire for channel 0.

    `bits` names single bits of the value; each is a signal of its own.
    `every_s` makes it a diagnostic, read in the time that occupancy leaves.
    """

    name: str
    table: Table
    address: int
    type: ValueType
    word_order: WordOrder = WordOrder.MSB_FIRST
    scale: float = 1.0
    unit: str = ""
    invalid: frozenset[int] = frozenset()
    bits: Mapping[str, int]
    every_s: float | None = None

    @property
    def size(self) -> int:
        """Addresses it takes in its table."""
        return 1 if self.table.holds_bits else self.type.words


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadableRange:
    """Addresses that may be read though nothing is mapped there: a block may reach across."""

    table: Table
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """The device says that it is faulty while `signal & mask == equals`."""

    signal: str
    mask: int
    equals: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OccupancyRule:
    """When a channel is occupied. Between the thresholds it stays what it was."""

    signal: str
    compare: Compare
    occupied_at: float = 1.0
    vacant_at: float = 0.0
    confirm_readings: int = 1
    on_invalid: OnInvalid = OnInvalid.HOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterRule:
    """A register that counts arrivals and survives power loss."""

    register: str
    every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReapplyRule:
    """A setting that the device forgets without power: read every so often, written again when it differs."""

    register: str
    value: int
    every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityRule:
    """What a scan reads to recognise the device: `register & mask == equals`."""

    register: str
    mask: int
    equals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetIdRule:
    """The register that holds the device id."""

    register: str
    needs_restart: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorProfile:
    """All that the bus knows about one kind of sensor."""

    name: str
    title: str
    source: str
    sensing: str
    link: LinkProfile
    registers: Mapping[str, Register]
    readable: tuple[ReadableRange, ...]
    channels: tuple[int, ...]
    channel_stride: int
    occupancy: OccupancyRule
    faults: tuple[FaultRule, ...]
    counter: CounterRule | None
    reapply: tuple[ReapplyRule, ...]
    identity: IdentityRule | None
    set_id: SetIdRule | None

    def register_of(self, signal: str) -> Register:
        """The register that carries a signal (a register's name or the name of one of its bits)."""
        if signal in self.registers:
            return self.registers[signal]
        return next(register for register in self.registers.values() if signal in register.bits)

    def address(self, register: Register, channel: int) -> int:
        """Wire address of a register for one channel."""
        return register.address + self.channel_stride * channel
