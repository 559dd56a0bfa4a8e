"""What the parts of a profile may not say of each other."""

from collections.abc import Iterator

from firmware_bridge.errors import Fault
from firmware_bridge.profile_rules import Compare
from firmware_bridge.profiles import SensorProfile
from firmware_bridge.registers import WORD_BITS, Register, Table, ValueType

_WRITE_FUNCTIONS = {Table.COILS: (5, 15), Table.HOLDING_REGISTERS: (6, 16)}


def contradictions(profile: SensorProfile) -> Iterator[Fault]:
    """Yield every fault that shows only when the parts are seen together."""
    numbers = [fault for fault in _numbers(profile)]
    yield from numbers
    yield from _channels(profile)
    yield from _signal_names(profile)
    for name, register in profile.registers.items():
        yield from _register(profile, f"registers.{name}", register)
        if not numbers:
            yield from _last_address(profile, f"registers.{name}.number", register)
    yield from _occupancy(profile)
    yield from _faults(profile)
    yield from _named_registers(profile)


def _numbers(profile: SensorProfile) -> Iterator[Fault]:
    given = [(f"registers.{name}.number", r.table, r.number) for name, r in profile.registers.items()]
    for index, part in enumerate(profile.readable):
        given += [(f"readable[{index}].{end}", part.table, getattr(part, end)) for end in ("first", "last")]
        if part.last < part.first:
            yield Fault(key=f"readable[{index}].last", got=part.last, remedy="must not be below first")
    for key, table, number in given:
        if profile.numbering.address(table, number) is None:
            allowed = " or ".join(f"{r.start} to {r.stop - 1}" for r in profile.numbering.numbers(table))
            remedy = f"with numbering '{profile.numbering}' {table} are numbered {allowed}"
            yield Fault(key=key, got=number, remedy=remedy)


def _channels(profile: SensorProfile) -> Iterator[Fault]:
    channels = profile.channels
    if channels.count == 1:
        if channels.first not in (None, 1):
            remedy = "a plain sensor has channel 1: leave first out"
            yield Fault(key="channels.first", got=channels.first, remedy=remedy)
        if channels.stride is not None:
            remedy = "leave it out: one channel has the numbers given (until 2026-11 it was added to them)"
            yield Fault(key="channels.stride", got=channels.stride, remedy=remedy)
        return
    if channels.first is None:
        remedy = (
            "is missing: write the number of the first channel, 0 or 1. Each register's number is the "
            "address of that channel (until 2026-11 it was the address of channel 0)"
        )
        yield Fault(key="channels.first", got=None, remedy=remedy)
    needs_stride = any(
        register.stride is None and not register.is_bit_of_register and not register.table.holds_bits
        for name, register in profile.registers.items()
        if name not in _device_registers(profile)
    )
    if needs_stride and channels.stride is None:
        remedy = (
            "give the addresses between one channel and the next; "
            "a register of the whole device has stride = 0"
        )
        yield Fault(key="channels.stride", got=None, remedy=remedy)


def _device_registers(profile: SensorProfile) -> set[str]:
    return {rule.register_name for rule in (profile.identity, profile.set_id) if rule is not None}


def _signal_names(profile: SensorProfile) -> Iterator[Fault]:
    owners = {name: name for name in profile.registers}
    for name, register in profile.registers.items():
        for bit in register.bits:
            if bit in owners:
                remedy = f"{owners[bit]} has a signal of that name: rename one"
                yield Fault(key=f"registers.{name}.bits.{bit}", got=bit, remedy=remedy)
            owners[bit] = name


def _register(profile: SensorProfile, key: str, register: Register) -> Iterator[Fault]:
    link = profile.link
    if not register.table.holds_bits and register.size > link.max_registers:
        remedy = f"takes {register.size} registers, but link.max_registers is {link.max_registers}"
        yield Fault(key=f"{key}.type", got=str(register.type), remedy=remedy)
    yield from _bit_fields(key, register)
    yield from _mask(key, register)
    for name, bit in register.bits.items():
        if bit >= register.value_bits:
            remedy = f"the register has bits 0 to {register.value_bits - 1}"
            yield Fault(key=f"{key}.bits.{name}", got=bit, remedy=remedy)
    for number in register.invalid:
        if register.raw_of(number) is None:
            yield Fault(key=f"{key}.invalid", got=number, remedy=f"a {register.type} cannot hold it")
    yield from _write_function(key, register)


def _bit_fields(key: str, register: Register) -> Iterator[Fault]:
    if not register.is_bit_of_register:
        for name in ("bit", "width", "bit_stride"):
            if name in register.model_fields_set:
                remedy = 'belongs to type = "bit" of input or holding registers'
                yield Fault(key=f"{key}.{name}", got=getattr(register, name), remedy=remedy)
        return
    if register.bit + register.width > WORD_BITS:
        remedy = f"bit {register.bit} and width {register.width} reach beyond bit 15"
        yield Fault(key=f"{key}.width", got=register.width, remedy=remedy)
    if register.stride is not None:
        remedy = (
            "channels of type bit follow each other by bit_stride; "
            "where each channel has a register of its own, name the bit under `bits`"
        )
        yield Fault(key=f"{key}.stride", got=register.stride, remedy=remedy)


def _mask(key: str, register: Register) -> Iterator[Fault]:
    if register.mask is None:
        return
    highest = (1 << WORD_BITS * register.size) - 1
    if register.type not in (ValueType.UINT16, ValueType.UINT32):
        remedy = f"a mask goes with uint16 and uint32, not with {register.type}"
        yield Fault(key=f"{key}.mask", got=register.mask, remedy=remedy)
    elif not 0 < register.mask <= highest:
        yield Fault(key=f"{key}.mask", got=register.mask, remedy=f"write a mask of 1 to {highest}")


def _write_function(key: str, register: Register) -> Iterator[Fault]:
    given, functions = register.write_function, _WRITE_FUNCTIONS.get(register.table, ())
    if given is not None and given not in functions:
        allowed = " or ".join(map(str, functions)) or "none: it cannot be written"
        remedy = f"{register.table} are written by function {allowed}"
        yield Fault(key=f"{key}.write_function", got=given, remedy=remedy)
    elif given == 6 and register.size > 1:
        remedy = f"function 6 writes one register, {register.type} has {register.size}: write 16"
        yield Fault(key=f"{key}.write_function", got=given, remedy=remedy)


def _last_address(profile: SensorProfile, key: str, register: Register) -> Iterator[Fault]:
    places = [profile.place(register, channel) for channel in profile.channel_numbers]
    step = register.bit_stride
    spans = {(place.address, place.bit + register.width) for place in places}
    if register.is_bit_of_register and any(end > WORD_BITS for _, end in spans):
        remedy = f"the {register.width} bits of some channel lie in two registers: choose another bit_stride"
        yield Fault(key=key.replace("number", "bit_stride"), got=step, remedy=remedy)
    if register.is_bit_of_register and step is not None and step <= 0 and len(places) > 1:
        outside = any(place.address != places[0].address for place in places)
        if step == 0 or outside:
            remedy = (
                "two channels would have one bit" if step == 0 else "channels would lie below the register"
            )
            yield Fault(key=key.replace("number", "bit_stride"), got=step, remedy=remedy)
            return
    end = max(place.address for place in places) + register.size
    if end > 0x10000 or min(place.address for place in places) < 0:
        remedy = f"its last channel would end at wire address {end - 1}: 65535 is the highest"
        yield Fault(key=key, got=register.number, remedy=remedy)


def _occupancy(profile: SensorProfile) -> Iterator[Fault]:
    rule = profile.occupancy
    if unknown := _unknown_signal(profile, rule.signal):
        yield Fault(key="occupancy.signal", got=rule.signal, remedy=unknown)
        return
    register = profile.register_of(rule.signal)
    is_flag = rule.signal in register.bits or (register.type is ValueType.BIT and register.width == 1)
    if is_flag and rule.compare is not Compare.BIT:
        remedy = f'{rule.signal} is a single bit: use "bit"'
        yield Fault(key="occupancy.compare", got=str(rule.compare), remedy=remedy)
    if not is_flag and rule.compare is Compare.BIT:
        remedy = f'{rule.signal} is a number: use "below", "above" or "states"'
        yield Fault(key="occupancy.compare", got=str(rule.compare), remedy=remedy)
    if profile.channels.count > 1 and register.stride == 0:
        remedy = f"{rule.signal} has stride = 0: all channels would read one value"
        yield Fault(key="occupancy.signal", got=rule.signal, remedy=remedy)
    if rule.compare is Compare.STATES:
        if register.type is ValueType.FLOAT32 or register.type.signed:
            remedy = f"states are unsigned numbers, {rule.signal} is {register.type}"
            yield Fault(key="occupancy.compare", got="states", remedy=remedy)
        for key, numbers in (("occupied", rule.occupied), ("vacant", rule.vacant), ("fault", rule.fault)):
            for number in numbers:
                if number >> register.value_bits:
                    remedy = f"{rule.signal} has {register.value_bits} bits and never shows it"
                    yield Fault(key=f"occupancy.{key}", got=number, remedy=remedy)


def _faults(profile: SensorProfile) -> Iterator[Fault]:
    for index, rule in enumerate(profile.faults):
        if unknown := _unknown_signal(profile, rule.signal):
            yield Fault(key=f"faults[{index}].signal", got=rule.signal, remedy=unknown)
            continue
        register = profile.register_of(rule.signal)
        bits = 1 if rule.signal in register.bits else register.value_bits
        if rule.equals >> bits:
            remedy = f"{rule.signal} has {bits} bits and never shows it"
            yield Fault(key=f"faults[{index}].equals", got=rule.equals, remedy=remedy)


def _unknown_signal(profile: SensorProfile, signal: str) -> str:
    known = {name: None for name in profile.registers}
    known |= {bit: None for register in profile.registers.values() for bit in register.bits}
    return "" if signal in known else "write one of " + ", ".join(f"'{name}'" for name in sorted(known))


def _named_registers(profile: SensorProfile) -> Iterator[Fault]:
    registers = profile.registers
    for key, rule in (("counter.register", profile.counter), ("identity.register", profile.identity)):
        if rule is not None and rule.register_name not in registers:
            yield _unknown_register(key, rule.register_name, sorted(registers))
    if profile.counter is not None and (counter := registers.get(profile.counter.register_name)):
        yield from _counter(profile.counter.wraps_at, counter)
    if profile.identity is not None and (shown := registers.get(profile.identity.register_name)):
        is_whole = shown.type is not ValueType.FLOAT32 and not shown.is_bit_of_register
        if not is_whole or shown.mask is not None:
            remedy = "name a register of whole numbers without mask: the rule has a mask of its own"
            yield Fault(key="identity.register", got=profile.identity.register_name, remedy=remedy)
    yield from _written_registers(profile)


def _written_registers(profile: SensorProfile) -> Iterator[Fault]:
    written = [(f"reapply[{index}]", rule.register_name) for index, rule in enumerate(profile.reapply)]
    if profile.set_id is not None:
        written.append(("set_id", profile.set_id.register_name))
    for key, name in written:
        register = profile.registers.get(name)
        if register is None or not _is_writable(register):
            allowed = sorted(known for known, other in profile.registers.items() if _is_writable(other))
            yield _unknown_register(f"{key}.register", name, allowed)
        elif key == "set_id" and register.type is not ValueType.UINT16:
            yield Fault(key="set_id.register", got=name, remedy="an id is a uint16")
    for index, rule in enumerate(profile.reapply):
        register = profile.registers.get(rule.register_name)
        if register is not None and register.raw_of(rule.value) is None:
            remedy = f"a {register.type} cannot hold it"
            yield Fault(key=f"reapply[{index}].value", got=rule.value, remedy=remedy)


def _counter(wraps_at: int | None, register: Register) -> Iterator[Fault]:
    if register.type is ValueType.FLOAT32 or register.type.signed or register.table.holds_bits:
        remedy = "a counter is uint16, uint32 or some of their bits"
        yield Fault(key="counter.register", got=str(register.type), remedy=remedy)
    elif wraps_at is not None and wraps_at > 1 << register.value_bits:
        remedy = f"a counter of {register.value_bits} bits wraps at {1 << register.value_bits} at the latest"
        yield Fault(key="counter.wraps_at", got=wraps_at, remedy=remedy)


def _is_writable(register: Register) -> bool:
    """A whole coil or whole holding registers: a part of one cannot be written alone."""
    if register.table is Table.COILS:
        return True
    is_whole = register.type is not ValueType.BIT and register.mask is None
    return register.table is Table.HOLDING_REGISTERS and is_whole


def _unknown_register(key: str, got: str, allowed: list[str]) -> Fault:
    choices = ", ".join(f"'{name}'" for name in allowed) or "a register that fits: there is none yet"
    return Fault(key=key, got=got, remedy=f"write one of {choices}")
