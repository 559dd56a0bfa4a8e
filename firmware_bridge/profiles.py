"""Sensor profiles: what a device's registers mean, as data.

A profile is one TOML file (`config/sensors/*.toml`). `profile.schema.json` beside them is generated from
these models; docs/sensor-profiles.md shows how to write one. A new device is a new file.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from firmware_bridge.profile_rules import (
    CounterRule,
    FaultRule,
    IdentityRule,
    OccupancyRule,
    ReapplyRule,
    SetIdRule,
)
from firmware_bridge.registers import Place, Register, Table
from firmware_bridge.values import Checked, Choice, Text, Whole

_BAUDRATES = (1200, 2400, 4800, 9600, 14400, 19200, 38400, 57600, 115200)
DeviceId = Annotated[int, Whole(1, 255)]


class Numbering(StrEnum):
    """How the document counts addresses."""

    WIRE = "wire"  # as on the wire, from 0
    ONE_BASED = "one_based"  # from 1
    MODICON = "modicon"  # five or six digits: 40001 or 400001 is holding register 0 on the wire

    def numbers(self, table: Table) -> tuple[range, ...]:
        """The numbers that a table can have; each range begins with wire address 0."""
        if self is Numbering.WIRE:
            return (range(0x10000),)
        if self is Numbering.ONE_BASED or table is Table.COILS:
            return (range(1, 0x10001),)
        digit = {Table.DISCRETE_INPUTS: 1, Table.INPUT_REGISTERS: 3, Table.HOLDING_REGISTERS: 4}[table]
        five, six = digit * 10_000 + 1, digit * 100_000 + 1
        return (range(five, five + 9999), range(six, six + 0x10000))

    def address(self, table: Table, number: int) -> int | None:
        """The wire address of a document's number; None where the table has no such number."""
        found = (number - numbers.start for numbers in self.numbers(table) if number in numbers)
        return next(found, None)


class LinkProfile(Checked):
    """The device on its line: factory link settings, limits and the times it takes."""

    baudrate: Annotated[int, Choice(_BAUDRATES)]
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Annotated[int, Choice((1, 2))] = 1
    fixed: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="The device knows no other rate, parity and stop bits."
    )
    device_ids: tuple[DeviceId, DeviceId] = Field(default=(1, 247), description="Lowest and highest.")
    default_device_id: DeviceId = Field(default=1, description="As delivered.")
    response_timeout_ms: Annotated[int, Whole(5, 5000)] = Field(
        description="From the end of a request to the first character of its reply, as the maker promises."
    )
    max_reply_delay_ms: Annotated[int, Whole(0, 10_000)] = Field(
        description="How late beyond that a reply has ever been seen; until then it is waited out."
    )
    min_gap_ms: Annotated[int, Whole(0, 10_000)] = Field(
        default=0, description="From one transaction with this device to the next one."
    )
    gap_ms: Annotated[int, Whole(0, 1000)] = Field(
        default=0, description="Silence that this device needs on the line before any request."
    )
    max_registers: Annotated[int, Whole(1, 125)] = 125
    max_bits: Annotated[int, Whole(1, 2000)] = 2000

    @property
    def text(self) -> str:
        """Rate, parity and stop bits as technicians write them: 9600 8N1."""
        return f"{self.baudrate} 8{self.parity}{self.stop_bits}"

    def may_have(self, device_id: int) -> bool:
        return self.device_ids[0] <= device_id <= self.device_ids[1]

    @field_validator("device_ids")
    @classmethod
    def _in_order(cls, given: tuple[int, int]) -> tuple[int, int]:
        if given[0] > given[1]:
            raise ValueError("write [lowest, highest]")
        return given

    @field_validator("default_device_id")
    @classmethod
    def _among_its_ids(cls, given: int, info: ValidationInfo) -> int:
        first, last = info.data.get("device_ids", (1, 255))
        if not first <= given <= last:
            raise ValueError(f"must lie in device_ids ({first} to {last})")
        return given


class Channels(Checked):
    """The inputs, loops or nodes behind one unit id; a plain sensor has channel 1 only."""

    count: Annotated[int, Whole(1, 250)] = 1
    first: Annotated[int, Whole(0, 250)] | None = Field(
        default=None, description="Number of the first channel, as the document counts: 0 or 1."
    )
    stride: Annotated[int, Whole(1, 1000)] | None = Field(
        default=None, description="Addresses from one channel to the next; coils and discrete inputs: 1."
    )

    @property
    def numbers(self) -> tuple[int, ...]:
        first = 1 if self.first is None else self.first
        return tuple(range(first, first + self.count))


class ReadableRange(Checked):
    """Addresses that may be read though nothing is mapped there: a block may reach across."""

    table: Table
    first: int
    last: int


class SensorProfile(Checked):
    """All that the bus knows about one kind of sensor."""

    format: Annotated[int, Choice((1,))]
    name: Text
    title: Text
    source: Text = Field(description="The document, with its revision and page.")
    sensing: Literal["loop", "magnetometer", "ultrasonic", "laser", "radar", "contact", "other"]
    numbering: Numbering
    link: LinkProfile
    channels: Channels = Field(default_factory=Channels)
    registers: Mapping[str, Register]
    readable: tuple[ReadableRange, ...] = ()
    occupancy: OccupancyRule
    faults: tuple[FaultRule, ...] = ()
    counter: CounterRule | None = None
    reapply: tuple[ReapplyRule, ...] = ()
    identity: IdentityRule | None = None
    set_id: SetIdRule | None = None

    @property
    def channel_numbers(self) -> tuple[int, ...]:
        return self.channels.numbers

    def register_name(self, signal: str) -> str:
        """The name of the register that carries a signal: its own name, or that of one of its bits."""
        if signal in self.registers:
            return signal
        return next(name for name, register in self.registers.items() if signal in register.bits)

    def register_of(self, signal: str) -> Register:
        """The register that carries a signal."""
        return self.registers[self.register_name(signal)]

    def place(self, register: Register, channel: int) -> Place:
        """Where a register lies for one channel."""
        base = self.numbering.address(register.table, register.number)
        if base is None:
            raise ValueError(f"{register.table} have no number {register.number}")
        index = 0 if self._is_device_wide(register) else channel - self.channels.numbers[0]
        return register.place(base, index, self.channels.stride or 1)

    def address(self, register: Register, channel: int) -> int:
        """Wire address of a register for one channel."""
        return self.place(register, channel).address

    def readable_ranges(self) -> Iterator[tuple[Table, range]]:
        """Every range of wire addresses that the profile calls readable."""
        for part in self.readable:
            first = self.numbering.address(part.table, part.first)
            last = self.numbering.address(part.table, part.last)
            if first is not None and last is not None:
                yield part.table, range(first, last + 1)

    def _is_device_wide(self, register: Register) -> bool:
        """A device has one id and one type, however many channels it has."""
        rules = (self.identity, self.set_id)
        return register.stride is None and any(
            rule is not None and self.registers.get(rule.register_name) is register for rule in rules
        )
