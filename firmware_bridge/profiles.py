"""Sensor profiles: what a device's registers mean, as data.

A profile is one TOML file (`config/sensors/*.toml`). `profile.schema.json` beside them is generated from
these models; docs/sensor-profiles.md shows how to write one. A new device is a new file.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from firmware_bridge.registers import Place, Register, Table
from firmware_bridge.values import Checked, Choice, DoubleWord, Number, Real, Text, Whole, Word

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


class Compare(StrEnum):
    """How a signal becomes occupied or vacant."""

    BIT = "bit"  # occupied while the bit is `occupied_at`: 1, or 0 with a normally closed contact
    BELOW = "below"  # distance: occupied at or below one threshold, vacant at or above the other
    ABOVE = "above"  # deviation: the other way round
    STATES = "states"  # a number that stands for a state


class OnInvalid(StrEnum):
    """What an invalid value (no echo, out of range, an unlisted state) says about the berth."""

    HOLD = "hold"  # nothing: keep the state, fault when it lasts
    VACANT = "vacant"
    FAULT = "fault"


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


class FaultRule(Checked):
    """The device reports a fault while `raw & mask == equals`: raw bits, without scale and offset."""

    signal: Text
    mask: Annotated[int, Whole(1, 0xFFFFFFFF)] = 0xFFFFFFFF
    equals: DoubleWord = 1
    cause: Text

    @field_validator("equals")
    @classmethod
    def _inside_the_mask(cls, given: int, info: ValidationInfo) -> int:
        if given & ~info.data.get("mask", 0xFFFFFFFF):
            raise ValueError("has bits outside mask, so it never applies")
        return given


class OccupancyRule(Checked):
    """When a channel is occupied. Between two thresholds it stays what it was."""

    signal: Text
    compare: Compare
    occupied_at: Real | None = Field(
        default=None, validate_default=True, description="below, above: a threshold. bit: 1 or 0."
    )
    vacant_at: Real | None = Field(
        default=None, validate_default=True, description="below, above: the other threshold."
    )
    occupied: tuple[DoubleWord, ...] = Field(
        default=(), validate_default=True, description="states: raw numbers that mean occupied."
    )
    vacant: tuple[DoubleWord, ...] = Field(default=(), validate_default=True)
    fault: tuple[DoubleWord, ...] = ()
    confirm_readings: Annotated[int, Whole(1, 20)] = 1
    on_invalid: OnInvalid = OnInvalid.HOLD

    @field_validator("occupied_at")
    @classmethod
    def _occupied_fits(cls, given: float | None, info: ValidationInfo) -> float | None:
        compare = info.data.get("compare")
        if compare is Compare.BIT:
            if given not in (None, 0.0, 1.0):
                raise ValueError("write 1, or 0 for a normally closed contact")
            return 1.0 if given is None else given
        return _threshold(given, compare)

    @field_validator("vacant_at")
    @classmethod
    def _vacant_fits(cls, given: float | None, info: ValidationInfo) -> float | None:
        compare, occupied_at = info.data.get("compare"), info.data.get("occupied_at")
        if compare is Compare.BIT:
            if given is not None:
                raise ValueError("a bit has one threshold: write occupied_at alone")
            return None
        given = _threshold(given, compare)
        if (
            given is not None
            and occupied_at is not None
            and (side := wrong_side(compare, occupied_at, given))
        ):
            raise ValueError(f"must lie {side} occupied_at, so that there is hysteresis")
        return given

    @field_validator("occupied", "vacant")
    @classmethod
    def _states_fit(cls, given: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        compare = info.data.get("compare")
        if compare is Compare.STATES and not given:
            raise ValueError("is missing: list the numbers of this state")
        if compare is not None and compare is not Compare.STATES and given:
            raise ValueError('goes with compare = "states"')
        return given

    @field_validator("fault")
    @classmethod
    def _listed_once(cls, given: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        listed = [*info.data.get("occupied", ()), *info.data.get("vacant", ()), *given]
        twice = sorted({number for number in listed if listed.count(number) > 1})
        if twice:
            raise ValueError(f"{twice} is listed twice among occupied, vacant and fault")
        if given and info.data.get("compare") is not Compare.STATES:
            raise ValueError('goes with compare = "states"')
        return given


class CounterRule(Checked):
    """A register that counts arrivals and survives power loss."""

    register_name: Text = Field(alias="register")
    every_s: Annotated[float, Number(0.05)] = 1.0
    wraps_at: Annotated[int, Whole(2, 0x1_0000_0000)] | None = Field(
        default=None, description="The count that is shown as 0 again. Default: by the register's size."
    )


class ReapplyRule(Checked):
    """A setting that the device forgets without power: read every so often, written again when it differs."""

    register_name: Text = Field(alias="register")
    value: Real = Field(description="As the register holds it, before scale and offset.")
    every_s: Annotated[float, Number(1.0)] = 30.0


class IdentityRule(Checked):
    """What a scan reads to recognise the device: `register & mask == equals`."""

    register_name: Text = Field(alias="register")
    mask: Annotated[int, Whole(1, 0xFFFF)] = 0xFFFF
    equals: Word


class SetIdRule(Checked):
    """The register that holds the device id."""

    register_name: Text = Field(alias="register")
    needs_restart: Annotated[bool, Field(strict=True)] = False


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


def wrong_side(compare: Compare | None, occupied_at: float, vacant_at: float) -> str:
    """On which side of `occupied_at` the other threshold must lie; empty where it does."""
    if compare is Compare.BELOW and vacant_at <= occupied_at:
        return "above"
    return "below" if compare is Compare.ABOVE and vacant_at >= occupied_at else ""


def _threshold(given: float | None, compare: Compare | None) -> float | None:
    if compare is Compare.STATES and given is not None:
        raise ValueError('goes with compare = "below" or "above"')
    if compare in (Compare.BELOW, Compare.ABOVE) and given is None:
        raise ValueError("is missing: add it")
    return given
