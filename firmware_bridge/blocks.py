"""Which blocks of registers to read: values that lie near each other come in one request.

A block never exceeds the profile's limit and never touches an address that the profile does not call
readable. Each block knows other shapes of itself (a register more at either end), so that it can be asked
again while a late reply to the first shape may still arrive: the two replies have different lengths and
cannot be mixed up.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from firmware_bridge.frames import Request
from firmware_bridge.link import LinkTiming
from firmware_bridge.profiles import Register, SensorProfile, Table, WordOrder
from firmware_bridge.settings import SensorSettings

# What one more transaction costs beside its payload: request, frame of the reply, and a usual turnaround.
_OVERHEAD_BYTES = 13
USUAL_TURNAROUND_S = 0.005
_ALTERNATIVES = 2


class Purpose(IntEnum):
    """Why a block is read; occupancy goes first, the rest takes what time is left, in this order."""

    OCCUPANCY = 0
    SETTING = 1
    COUNTER = 2
    DIAGNOSTIC = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One register of one channel, at its wire address."""

    register: Register
    channel: int
    address: int

    @property
    def end(self) -> int:
        return self.address + self.register.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Where one register of one channel stands among the values of a reply."""

    register: Register
    channel: int
    first: int

    def raw(self, values: Sequence[int]) -> int:
        return raw_value(self.register, values[self.first : self.first + self.register.size])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Registers that are read together. `requests` all bring them in different shapes, tightest first."""

    device_id: int
    purpose: Purpose
    table: Table
    parts: tuple[Part, ...]
    requests: tuple[Request, ...]
    probe: Request  # the cheapest question that shows whether the sensor is there
    every_s: float

    def split(self) -> "tuple[Block, ...]":
        """One block for each part: when the device refuses to read them together."""
        return tuple(
            _block_of(self.device_id, self.purpose, (part,), (), self.every_s) for part in self.parts
        )


def plan_blocks(sensor: SensorSettings, timing: LinkTiming) -> tuple[Block, ...]:
    """All blocks of one sensor, occupancy first."""
    profile, rule = sensor.profile, sensor.occupancy
    signals = [rule.signal, *(fault.signal for fault in profile.faults)]
    fast = {profile.register_of(signal).name for signal in signals}
    blocks = [*_coalesce(sensor, Purpose.OCCUPANCY, fast, 0.0, timing)]
    for setting in profile.reapply:
        blocks += _coalesce(sensor, Purpose.SETTING, {setting.register}, setting.every_s, timing)
    if profile.counter is not None:
        blocks += _coalesce(
            sensor, Purpose.COUNTER, {profile.counter.register}, profile.counter.every_s, timing
        )
    slow = {
        r.name: r.every_s for r in profile.registers.values() if r.every_s is not None and r.name not in fast
    }
    for name, every_s in slow.items():
        blocks += _coalesce(sensor, Purpose.DIAGNOSTIC, {name}, every_s or 0.0, timing)
    return tuple(blocks)


def slots_of(sensor: SensorSettings, request: Request) -> "tuple[Slot, ...]":
    """Every register of every used channel that a read brings whole."""
    profile, found = sensor.profile, []
    for register in profile.registers.values():
        if register.table.read_function != request.function:
            continue
        for channel in sensor.used_channels:
            at = profile.address(register, channel) - request.address
            if at >= 0 and at + register.size <= request.count:
                found.append(Slot(register=register, channel=channel, first=at))
    return tuple(found)


def raw_value(register: Register, words: Sequence[int]) -> int:
    """The words as one integer, in the register's word order and sign."""
    ordered = words if register.word_order is WordOrder.MSB_FIRST else list(reversed(words))
    raw = 0
    for word in ordered:
        raw = raw << 16 | word
    if register.type.signed and raw >> 16 * len(ordered) - 1:
        raw -= 1 << 16 * len(ordered)
    return raw


def signals_of(register: Register, raw: int) -> Mapping[str, float | None]:
    """The value as signals: scaled under the register's name (None where invalid), and its named bits."""
    unsigned = raw & (1 << 16 * register.type.words) - 1
    value = None if unsigned in register.invalid else raw * register.scale
    return {register.name: value} | {name: float(unsigned >> bit & 1) for name, bit in register.bits.items()}


def _coalesce(
    sensor: SensorSettings, purpose: Purpose, names: Iterable[str], every_s: float, timing: LinkTiming
) -> Iterator[Block]:
    profile = sensor.profile
    parts = sorted(
        (
            Part(register=register, channel=channel, address=profile.address(register, channel))
            for register in (profile.registers[name] for name in names)
            for channel in sensor.used_channels
        ),
        key=lambda part: (part.register.table, part.address),
    )
    run: list[Part] = []
    for part in parts:
        if run and not _belongs(run, part, sensor, timing):
            yield _block(sensor, purpose, run, every_s)
            run = []
        run.append(part)
    if run:
        yield _block(sensor, purpose, run, every_s)


def _belongs(run: list[Part], part: Part, sensor: SensorSettings, timing: LinkTiming) -> bool:
    table, link = part.register.table, sensor.profile.link
    if run[0].register.table is not table:
        return False
    most = link.max_bits if table.holds_bits else link.max_registers
    end = max(item.end for item in run)
    hole = range(end, part.address)
    if part.end - run[0].address > most or not all(_readable(sensor.profile, table, at) for at in hole):
        return False
    hole_bytes = len(hole) / 8 if table.holds_bits else 2 * len(hole)
    pause_s = max(USUAL_TURNAROUND_S, timing.gap_s) + timing.gap_s
    return hole_bytes <= _OVERHEAD_BYTES + pause_s / timing.char_s


def _block(sensor: SensorSettings, purpose: Purpose, run: list[Part], every_s: float) -> Block:
    table = run[0].register.table
    first, end = run[0].address, max(part.end for part in run)
    wider = _wider_shapes(sensor.profile, table, first, end)
    return _block_of(sensor.device_id, purpose, tuple(run), wider, every_s)


def _block_of(
    device_id: int,
    purpose: Purpose,
    parts: tuple[Part, ...],
    wider: Iterable[tuple[int, int]],
    every_s: float,
) -> Block:
    table, first = parts[0].register.table, parts[0].address
    end = max(part.end for part in parts)
    shapes = [(first, end - first), *wider, (first, parts[0].register.size)]
    *requests, probe = (
        Request(device_id=device_id, function=table.read_function, address=address, count=size)
        for address, size in shapes
    )
    return Block(
        device_id=device_id,
        purpose=purpose,
        table=table,
        parts=parts,
        requests=tuple(requests),
        probe=probe,
        every_s=every_s,
    )


def _wider_shapes(profile: SensorProfile, table: Table, first: int, end: int) -> Iterator[tuple[int, int]]:
    """Up to two larger blocks around this one: their replies have other lengths."""
    if table.holds_bits:
        return  # eight bits make one character: a longer reply would reach too far
    low, high = first, end
    for _ in range(_ALTERNATIVES):
        if high - low >= profile.link.max_registers:
            return
        if _readable(profile, table, high):
            high += 1
        elif low > 0 and _readable(profile, table, low - 1):
            low -= 1
        else:
            return
        yield (low, high - low)


def _readable(profile: SensorProfile, table: Table, address: int) -> bool:
    if any(part.table is table and part.first <= address <= part.last for part in profile.readable):
        return True
    return any(
        profile.address(register, channel) <= address < profile.address(register, channel) + register.size
        for register in profile.registers.values()
        if register.table is table
        for channel in profile.channels
    )
