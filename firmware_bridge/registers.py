"""One value of a register map: where it lies for each channel, and how its words become a number."""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from firmware_bridge.values import AnyText, Checked, DoubleWord, Number, Real, Whole

WORD_BITS = 16


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
    BIT = "bit"  # of a coil or discrete input, or `width` bits of a register
    UINT16 = "uint16"
    INT16 = "int16"
    UINT32 = "uint32"
    INT32 = "int32"
    FLOAT32 = "float32"

    @property
    def words(self) -> int:
        return 2 if self in (ValueType.UINT32, ValueType.INT32, ValueType.FLOAT32) else 1

    @property
    def signed(self) -> bool:
        return self in (ValueType.INT16, ValueType.INT32)


class WordOrder(StrEnum):
    """The order of the bytes A (highest) to D of 32 bits; of one word only the swap within it counts."""

    ABCD = "abcd"
    CDAB = "cdab"
    BADC = "badc"
    DCBA = "dcba"
    MSB_FIRST = "msb_first"  # the same as abcd
    LSB_FIRST = "lsb_first"  # the same as cdab

    @property
    def swaps_words(self) -> bool:
        return self in (WordOrder.CDAB, WordOrder.DCBA, WordOrder.LSB_FIRST)

    @property
    def swaps_bytes(self) -> bool:
        return self in (WordOrder.BADC, WordOrder.DCBA)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """Where a value lies: its first wire address, and its lowest bit there."""

    address: int
    bit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What was read: `raw` bits as an unsigned number, and their `value`, None where that is invalid."""

    raw: int
    value: float | None


class Register(Checked):
    """One value of the register map. `number` is the document's, for the first channel."""

    table: Table
    number: Annotated[int, Whole(0, 465_536)] = Field(
        description="The address that the document gives for the first channel, by `numbering`."
    )
    type: ValueType = Field(
        default=ValueType.UINT16, description="Coils and discrete inputs are always of type bit."
    )
    bit: Annotated[int, Whole(0, 15)] = Field(
        default=0, description="Type bit: the lowest bit of the first channel; 0 is the register's lowest."
    )
    width: Annotated[int, Whole(1, 16)] = Field(default=1, description="Type bit: how many bits.")
    bit_stride: Annotated[int, Whole(-16, 16)] | None = Field(
        default=None,
        description="Type bit: from one channel's bit to the next one's, on into the following registers. "
        "Default: width.",
    )
    stride: Annotated[int, Whole(0, 1000)] | None = Field(
        default=None, description="Addresses from one channel to the next. Default: channels.stride."
    )
    word_order: WordOrder = WordOrder.ABCD
    mask: DoubleWord | None = Field(
        default=None, description="Only these bits count; they are shifted down to bit 0."
    )
    scale: Real = Field(default=1.0, description="value = number read x scale + offset")
    offset: Real = 0.0
    unit: AnyText = ""
    invalid: tuple[Real, ...] = Field(
        default=(), description="Numbers as read, before scale and offset, that mean: no value."
    )
    bits: Mapping[str, Annotated[int, Whole(0, 31)]] = Field(
        default_factory=dict, description="Names of single bits; each is a signal of its own."
    )
    every_s: Annotated[float, Number(0.1)] | None = Field(
        default=None, description="Read as a diagnostic, in the time that occupancy leaves."
    )
    write_function: Annotated[int, Whole(5, 16)] | None = Field(
        default=None, description="5 or 15 for coils, 6 or 16 for holding registers, if the device has one."
    )

    @model_validator(mode="before")
    @classmethod
    def _bits_are_bits(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("table") in (Table.COILS, Table.DISCRETE_INPUTS):
            return {"type": ValueType.BIT, **given}
        return given

    @field_validator("type")
    @classmethod
    def _fits_its_table(cls, given: ValueType, info: ValidationInfo) -> ValueType:
        table = info.data.get("table")
        if table is not None and table.holds_bits and given is not ValueType.BIT:
            raise ValueError(f"{table} hold bits: leave type out")
        return given

    @field_validator("scale")
    @classmethod
    def _scales(cls, given: float) -> float:
        if given == 0:
            raise ValueError("every value would be 0: write another factor")
        return given

    @property
    def is_bit_of_register(self) -> bool:
        return self.type is ValueType.BIT and not self.table.holds_bits

    @property
    def size(self) -> int:
        """Addresses it takes in its table."""
        return 1 if self.table.holds_bits else self.type.words

    @property
    def value_bits(self) -> int:
        """How many bits `raw` has: a counter wraps there."""
        if self.table.holds_bits:
            return 1
        if self.type is ValueType.BIT:
            return self.width
        if self.mask is not None:
            return (self.mask >> _lowest_bit(self.mask)).bit_length()
        return WORD_BITS * self.type.words

    def place(self, base: int, index: int, stride: int) -> Place:
        """Where the channel of that index lies, the first channel (0) being at wire address `base`."""
        if self.is_bit_of_register:
            step = self.width if self.bit_stride is None else self.bit_stride
            words, bit = divmod(self.bit + step * index, WORD_BITS)
            return Place(address=base + words, bit=bit)
        return Place(address=base + index * (stride if self.stride is None else self.stride))

    def raw(self, words: Sequence[int], bit: int = 0) -> int:
        """The bits of `size` words (or of one coil or input) as an unsigned number."""
        if self.table.holds_bits:
            return words[0] & 1
        raw = 0
        for word in reversed(words) if self.word_order.swaps_words else words:
            raw = raw << WORD_BITS | (_swapped(word) if self.word_order.swaps_bytes else word)
        if self.type is ValueType.BIT:
            return raw >> bit & (1 << self.width) - 1
        return raw if self.mask is None else (raw & self.mask) >> _lowest_bit(self.mask)

    def words(self, raw: int) -> tuple[int, ...]:
        """The words that hold `raw`, in the register's order: what a write of a whole value sends."""
        words = [raw >> WORD_BITS * at & 0xFFFF for at in reversed(range(self.size))]
        if self.word_order.swaps_words:
            words.reverse()
        return tuple(_swapped(word) for word in words) if self.word_order.swaps_bytes else tuple(words)

    def number_of(self, raw: int) -> float:
        """The number that the bits stand for, before scale and offset; NaN where a float is none."""
        if self.type is ValueType.FLOAT32:
            return float(struct.unpack(">f", raw.to_bytes(4, "big"))[0])
        if self.type.signed and raw >> self.value_bits - 1:
            return raw - (1 << self.value_bits)
        return raw

    def raw_of(self, number: float) -> int | None:
        """The bits that stand for a number; None where the type cannot hold it."""
        if self.type is ValueType.FLOAT32:
            return int.from_bytes(struct.pack(">f", number), "big") if abs(number) < 3.4e38 else None
        span = 1 << self.value_bits
        low = -(span >> 1) if self.type.signed else 0
        # An unsigned spelling of a signed register's bits (0xFFFF of an int16) names the same bits.
        return int(number) % span if number == int(number) and low <= number < span else None

    def signal(self, raw: int) -> Signal:
        """The bits with the value that they stand for."""
        number = self.number_of(raw)
        if not math.isfinite(number) or self._is_invalid(raw, number):
            return Signal(raw=raw, value=None)
        return Signal(raw=raw, value=number * self.scale + self.offset)

    def signals(self, name: str, raw: int) -> dict[str, Signal]:
        """The value under the register's name, and its named bits."""
        found = {name: self.signal(raw)}
        for bit_name, bit in self.bits.items():
            flag = raw >> bit & 1
            found[bit_name] = Signal(raw=flag, value=float(flag))
        return found

    def _is_invalid(self, raw: int, number: float) -> bool:
        if not self.invalid:
            return False
        if self.type is ValueType.FLOAT32:
            # 999.9 of the file and 999.9 of the device differ in their last bits
            return any(math.isclose(number, listed, rel_tol=1e-6) for listed in self.invalid)
        return any(self.raw_of(listed) == raw for listed in self.invalid)


def _lowest_bit(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _swapped(word: int) -> int:
    return word >> 8 | (word & 0xFF) << 8
