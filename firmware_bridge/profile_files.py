"""Reading sensor profiles from TOML files: every fault of a file is found and told at once."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_bridge.errors import Fault, ProfileError
from firmware_bridge.fields import Fields
from firmware_bridge.profiles import (
    Compare,
    CounterRule,
    FaultRule,
    IdentityRule,
    LinkProfile,
    OccupancyRule,
    OnInvalid,
    ReadableRange,
    ReapplyRule,
    Register,
    SensorProfile,
    SetIdRule,
    Table,
    ValueType,
    WordOrder,
)

_BAUDRATES = (1200, 2400, 4800, 9600, 14400, 19200, 38400, 57600, 115200)
# Modicon document numbers: the leading digit names the table, the rest counts from 1.
_MODICON_BASE = {
    Table.COILS: 1,
    Table.DISCRETE_INPUTS: 10001,
    Table.INPUT_REGISTERS: 30001,
    Table.HOLDING_REGISTERS: 40001,
}
_NUMBERINGS = ("modicon", "one_based", "wire")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilesFound:
    """What some folders hold: usable profiles by name, and what is wrong with the other files.

    A faulty file takes the name that it claims out of use (`spoilt`) and harms no other: another folder's
    profile of that name is not what the site meant.
    """

    profiles: Mapping[str, SensorProfile]
    errors: tuple[ProfileError, ...]
    spoilt: frozenset[str]


def load_profile(path: Path) -> SensorProfile:
    """Read and check one profile. Raises ProfileError with all faults of the file."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ProfileError(
            str(path), [Fault(key="file", got=exc.strerror, remedy="make it readable")], name=path.stem
        ) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        fault = Fault(key="file", got=str(exc), remedy="correct the TOML")
        raise ProfileError(str(path), [fault], name=path.stem) from exc
    faults: list[Fault] = []
    profile = _profile(Fields(document, "", faults))
    if faults or profile is None:
        name = document.get("name")
        raise ProfileError(str(path), faults, name=name if isinstance(name, str) else path.stem)
    return profile


def find_profiles(directories: Iterable[Path]) -> ProfilesFound:
    """All profiles of the given directories; a name in an earlier one wins. Missing ones are passed over."""
    profiles: dict[str, SensorProfile] = {}
    errors: list[ProfileError] = []
    spoilt: set[str] = set()
    for directory in directories:
        good, faulty = _folder(directory)
        errors += faulty
        # Two good files of one name: nobody can tell which one is meant. A good one outweighs a faulty one.
        doubtful = {error.name for error in faulty if error.name not in good or error.is_double}
        for name in sorted(good.keys() | doubtful):
            if name in doubtful and name not in profiles:
                spoilt.add(name)
            elif name not in spoilt:
                profiles.setdefault(name, good[name])
    return ProfilesFound(profiles=profiles, errors=tuple(errors), spoilt=frozenset(spoilt))


def _folder(directory: Path) -> tuple[dict[str, SensorProfile], list[ProfileError]]:
    good: dict[str, SensorProfile] = {}
    files: dict[str, Path] = {}
    faulty: list[ProfileError] = []
    for path in sorted(directory.glob("*.toml")):
        try:
            profile = load_profile(path)
        except ProfileError as error:
            faulty.append(error)
            continue
        if profile.name in good:
            remedy = f"{files[profile.name]} has that name already: rename one"
            fault = Fault(key="name", got=profile.name, remedy=remedy)
            faulty.append(ProfileError(str(path), [fault], name=profile.name, is_double=True))
        good[profile.name], files[profile.name] = profile, path
    return good, faulty


def load_profiles(directories: Iterable[Path]) -> dict[str, SensorProfile]:
    """As `find_profiles`, where nothing may be wrong. Raises ProfileError for the first faulty file."""
    found = find_profiles(directories)
    if found.errors:
        raise found.errors[0]
    return dict(found.profiles)


def _profile(fields: Fields) -> SensorProfile | None:
    fields.one_of("format", (1,), default=None)
    name = fields.text("name")
    title = fields.text("title")
    source = fields.text("source")
    sensing = fields.one_of("sensing", ("loop", "magnetometer", "ultrasonic", "laser", "radar", "other"))
    link = _link(fields.section("link"))
    numbering = fields.one_of("numbering", _NUMBERINGS)
    channels, stride = _channels(fields.section("channels", required=False))
    registers = _registers(fields.section("registers"), numbering)
    readable = tuple(_readable(part, numbering) for part in fields.sections("readable"))
    signals = set(registers) | {bit for register in registers.values() for bit in register.bits}
    holding = {r.name for r in registers.values() if r.table is Table.HOLDING_REGISTERS}
    occupancy = _occupancy(fields.section("occupancy"), signals)
    faults = tuple(_fault(part, signals) for part in fields.sections("faults"))
    counter = _optional(fields, "counter", lambda part: _counter(part, set(registers)))
    reapply = tuple(_reapply(part, holding) for part in fields.sections("reapply"))
    identity = _optional(fields, "identity", lambda part: _identity(part, set(registers)))
    set_id = _optional(fields, "set_id", lambda part: _set_id(part, holding))
    fields.refuse_unknown()
    _check_bit_rule(fields, occupancy, registers)
    if fields.faults:
        return None
    _check_block_limits(fields, registers.values(), link)
    _check_last_addresses(fields, registers.values(), channels[-1] * stride)
    if fields.faults:
        return None
    return SensorProfile(
        name=name,
        title=title,
        source=source,
        sensing=sensing,
        link=link,
        registers=registers,
        readable=readable,
        channels=channels,
        channel_stride=stride,
        occupancy=occupancy,
        faults=faults,
        counter=counter,
        reapply=reapply,
        identity=identity,
        set_id=set_id,
    )


def _optional(fields: Fields, key: str, read: Any) -> Any:
    return read(fields.section(key)) if fields.has(key) else None


def _link(fields: Fields) -> LinkProfile:
    ids = fields.integers("device_ids", low=1, high=255, default=[1, 247])
    if len(ids) != 2 or ids[0] > ids[1]:
        fields.fault("device_ids", ids, "write [lowest, highest]")
        ids = [1, 247]
    link = LinkProfile(
        baudrate=fields.one_of("baudrate", _BAUDRATES),
        parity=fields.one_of("parity", ("N", "E", "O"), default="N"),
        stop_bits=fields.one_of("stop_bits", (1, 2), default=1),
        default_device_id=fields.integer("default_device_id", low=1, high=255, default=1),
        first_device_id=ids[0],
        last_device_id=ids[1],
        response_timeout_ms=fields.integer("response_timeout_ms", low=5, high=5000),
        max_reply_delay_ms=fields.integer("max_reply_delay_ms", low=0, high=10000),
        min_gap_ms=fields.integer("min_gap_ms", low=0, high=10000, default=0),
        max_registers=fields.integer("max_registers", low=1, high=125, default=125),
        max_bits=fields.integer("max_bits", low=1, high=2000, default=2000),
    )
    if not link.first_device_id <= link.default_device_id <= link.last_device_id:
        fields.fault(
            "default_device_id", link.default_device_id, f"must lie in device_ids ({ids[0]} to {ids[1]})"
        )
    fields.refuse_unknown()
    return link


def _channels(fields: Fields) -> tuple[tuple[int, ...], int]:
    """Channels 1..count, `stride` addresses apart; a plain sensor has channel 1 at its own addresses."""
    count = fields.integer("count", low=1, high=250, default=1)
    stride = fields.integer("stride", low=1, high=1000, default=0) if fields.has("stride") else 0
    if count > 1 and stride == 0:
        fields.fault("stride", None, "give the addresses between one channel and the next")
    fields.refuse_unknown()
    return tuple(range(1, count + 1)), stride


def _address(fields: Fields, key: str, table: Table, numbering: str) -> int:
    number = fields.integer(key, low=0, high=165535)
    base = {"wire": 0, "one_based": 1}.get(numbering, _MODICON_BASE[table])
    address = number - base
    if not 0 <= address <= 0xFFFF:
        remedy = f"with numbering {numbering!r} {table} are numbered {base} to {base + 0xFFFF}"
        fields.fault(key, number, remedy)
        return 0
    return address


def _registers(fields: Fields, numbering: str) -> dict[str, Register]:
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


def _readable(fields: Fields, numbering: str) -> ReadableRange:
    table = Table(fields.one_of("table", tuple(Table)))
    first = _address(fields, "first", table, numbering)
    last = _address(fields, "last", table, numbering)
    if last < first:
        fields.fault("last", last, "must not be below first")
    fields.refuse_unknown()
    return ReadableRange(table=table, first=first, last=last)


def _occupancy(fields: Fields, signals: set[str]) -> OccupancyRule:
    compare = Compare(fields.one_of("compare", tuple(Compare)))
    is_bit = compare is Compare.BIT
    rule = OccupancyRule(
        signal=fields.one_of("signal", tuple(sorted(signals))),
        compare=compare,
        occupied_at=1.0 if is_bit else fields.number("occupied_at"),
        vacant_at=0.0 if is_bit else fields.number("vacant_at"),
        confirm_readings=fields.integer("confirm_readings", low=1, high=20, default=1),
        on_invalid=OnInvalid(fields.one_of("on_invalid", tuple(OnInvalid), default=OnInvalid.HOLD)),
    )
    gap_is_wrong = (compare is Compare.BELOW and rule.vacant_at <= rule.occupied_at) or (
        compare is Compare.ABOVE and rule.vacant_at >= rule.occupied_at
    )
    if gap_is_wrong:
        side = "above" if compare is Compare.BELOW else "below"
        fields.fault("vacant_at", rule.vacant_at, f"must lie {side} occupied_at, so that there is hysteresis")
    fields.refuse_unknown()
    return rule


def _fault(fields: Fields, signals: set[str]) -> FaultRule:
    mask = fields.integer("mask", low=1, high=0xFFFFFFFF, default=0xFFFFFFFF)
    rule = FaultRule(
        signal=fields.one_of("signal", tuple(sorted(signals))),
        mask=mask,
        equals=fields.integer("equals", low=0, high=0xFFFFFFFF, default=1),
        cause=fields.text("cause"),
    )
    if rule.equals & ~mask:
        fields.fault("equals", rule.equals, "has bits outside mask, so it never applies")
    fields.refuse_unknown()
    return rule


def _counter(fields: Fields, registers: set[str]) -> CounterRule:
    rule = CounterRule(
        register=fields.one_of("register", tuple(sorted(registers))),
        every_s=fields.number("every_s", low=0.05, default=1.0),
    )
    fields.refuse_unknown()
    return rule


def _reapply(fields: Fields, holding: set[str]) -> ReapplyRule:
    rule = ReapplyRule(
        register=fields.one_of("register", tuple(sorted(holding))),
        value=fields.integer("value", low=0, high=0xFFFF),
        every_s=fields.number("every_s", low=1.0, default=30.0),
    )
    fields.refuse_unknown()
    return rule


def _identity(fields: Fields, registers: set[str]) -> IdentityRule:
    rule = IdentityRule(
        register=fields.one_of("register", tuple(sorted(registers))),
        mask=fields.integer("mask", low=1, high=0xFFFF, default=0xFFFF),
        equals=fields.integer("equals", low=0, high=0xFFFF),
    )
    fields.refuse_unknown()
    return rule


def _set_id(fields: Fields, holding: set[str]) -> SetIdRule:
    rule = SetIdRule(
        register=fields.one_of("register", tuple(sorted(holding))),
        needs_restart=fields.flag("needs_restart", default=False),
    )
    fields.refuse_unknown()
    return rule


def _check_bit_rule(fields: Fields, rule: OccupancyRule, registers: dict[str, Register]) -> None:
    bits = {bit for register in registers.values() for bit in register.bits}
    if rule.signal not in registers and rule.signal not in bits:
        return  # told already
    is_flag = rule.signal in bits or registers[rule.signal].type is ValueType.BIT
    if is_flag and rule.compare is not Compare.BIT:
        fields.fault("occupancy.compare", rule.compare, f'{rule.signal} is a single bit: use "bit"')
    if not is_flag and rule.compare is Compare.BIT:
        fields.fault("occupancy.compare", rule.compare, f'{rule.signal} is a number: use "below" or "above"')


def _check_block_limits(fields: Fields, registers: Iterable[Register], link: LinkProfile) -> None:
    for register in registers:
        if not register.table.holds_bits and register.size > link.max_registers:
            remedy = f"takes {register.size} registers, but link.max_registers is {link.max_registers}"
            fields.fault(f"registers.{register.name}.type", register.type, remedy)


def _check_last_addresses(fields: Fields, registers: Iterable[Register], last_channel: int) -> None:
    for register in registers:
        end = register.address + last_channel + register.size
        if end > 0x10000:
            remedy = f"its last channel would end at wire address {end - 1}: 65535 is the highest"
            fields.fault(f"registers.{register.name}.number", register.address, remedy)
