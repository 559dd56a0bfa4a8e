"""Reading sensor profiles from TOML files: every fault of a file is found and told at once."""

import tomllib
from pathlib import Path
from typing import Any

from firmware_bridge.errors import Fault, ProfileError
from firmware_bridge.fields import Fields
from firmware_bridge.profile_registers import (
    NUMBERINGS,
    check_block_limits,
    check_last_addresses,
    read_range,
    read_registers,
)
from firmware_bridge.profiles import (
    Compare,
    CounterRule,
    FaultRule,
    IdentityRule,
    LinkProfile,
    OccupancyRule,
    OnInvalid,
    ReapplyRule,
    Register,
    SensorProfile,
    SetIdRule,
    Table,
    ValueType,
)

_BAUDRATES = (1200, 2400, 4800, 9600, 14400, 19200, 38400, 57600, 115200)


def load_profile(path: Path) -> SensorProfile:
    """Read and check one profile. Raises ProfileError with all faults of the file."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
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


def _profile(fields: Fields) -> SensorProfile | None:
    fields.one_of("format", (1,), default=None)
    name = fields.text("name")
    title = fields.text("title")
    source = fields.text("source")
    sensing = fields.one_of("sensing", ("loop", "magnetometer", "ultrasonic", "laser", "radar", "other"))
    link = _link(fields.section("link"))
    numbering = fields.one_of("numbering", NUMBERINGS)
    channels, stride = _channels(fields.section("channels", required=False))
    registers = read_registers(fields.section("registers"), numbering)
    readable = tuple(read_range(part, numbering) for part in fields.sections("readable"))
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
    check_block_limits(fields, registers.values(), link)
    check_last_addresses(fields, registers.values(), channels[-1] * stride)
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
