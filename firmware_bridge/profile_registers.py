"""The registers of a sensor profile: from document numbers to wire addresses, checked against the link."""

from collections.abc import Iterable

from firmware_bridge.fields import Fields
from firmware_bridge.profiles import LinkProfile, ReadableRange, Register, Table, ValueType, WordOrder

# Modicon document numbers: the leading digit names the table, the rest counts from 1.
_MODICON_BASE = {
    Table.COILS: 1,
    Table.DISCRETE_INPUTS: 10001,
    Table.INPUT_REGISTERS: 30001,
    Table.HOLDING_REGISTERS: 40001,
}
NUMBERINGS = ("modicon", "one_based", "wire")


def _address(fields: Fields, key: str, table: Table, numbering: str) -> int:
    number = fields.integer(key, low=0, high=165535)
    base = {"wire": 0, "one_based": 1}.get(numbering, _MODICON_BASE[table])
    address = number - base
    if not 0 <= address <= 0xFFFF:
        remedy = f"with numbering {numbering!r} {table} are numbered {base} to {base + 0xFFFF}"
        fields.fault(key, number, remedy)
        return 0
    return address


def read_registers(fields: Fields, numbering: str) -> dict[str, Register]:
    """Return the registers of a [registers] table by name; faults go to `fields`."""
    registers = {name: _register(fields.section(name), name, numbering) for name in fields.names()}
    seen: dict[str, str] = {name: name for name in registers}
    for register in registers.values():
        for bit in register.bits:
            if bit in seen:
                fields.fault(
                    f"{register.name}.bits.{bit}", bit, f"{seen[bit]} has a signal of that name: rename one"
                )
            seen[bit] = register.name
    return registers


def _register(fields: Fields, name: str, numbering: str) -> Register:
    table = Table(fields.one_of("table", tuple(Table)))
    kinds = (ValueType.BIT,) if table.holds_bits else tuple(t for t in ValueType if t is not ValueType.BIT)
    kind = ValueType(fields.one_of("type", kinds, default=kinds[0]))
    bits = fields.section("bits", required=False)
    register = Register(
        name=name,
        table=table,
        address=_address(fields, "number", table, numbering),
        type=kind,
        word_order=WordOrder(fields.one_of("word_order", tuple(WordOrder), default=WordOrder.MSB_FIRST)),
        scale=fields.number("scale", default=1.0),
        unit=fields.text("unit", default=""),
        invalid=frozenset(fields.integers("invalid", low=0, high=0xFFFFFFFF, default=[])),
        bits={bit: bits.integer(bit, low=0, high=16 * kind.words - 1) for bit in bits.names()},
        every_s=fields.number("every_s", low=0.1) if fields.has("every_s") else None,
    )
    if register.scale == 0:
        fields.fault("scale", register.scale, "every value would be 0: write another factor")
    fields.refuse_unknown()
    return register


def read_range(fields: Fields, numbering: str) -> ReadableRange:
    """Return one [[readable]] range of addresses."""
    table = Table(fields.one_of("table", tuple(Table)))
    first = _address(fields, "first", table, numbering)
    last = _address(fields, "last", table, numbering)
    if last < first:
        fields.fault("last", last, "must not be below first")
    fields.refuse_unknown()
    return ReadableRange(table=table, first=first, last=last)


def check_block_limits(fields: Fields, registers: Iterable[Register], link: LinkProfile) -> None:
    """Refuse registers that are larger than one request may ask for."""
    for register in registers:
        if not register.table.holds_bits and register.size > link.max_registers:
            remedy = f"takes {register.size} registers, but link.max_registers is {link.max_registers}"
            fields.fault(f"registers.{register.name}.type", register.type, remedy)


def check_last_addresses(fields: Fields, registers: Iterable[Register], last_channel: int) -> None:
    """Refuse registers whose last channel would lie beyond the last address."""
    for register in registers:
        end = register.address + last_channel + register.size
        if end > 0x10000:
            remedy = f"its last channel would end at wire address {end - 1}: 65535 is the highest"
            fields.fault(f"registers.{register.name}.number", register.address, remedy)
