"""Which blocks of registers to read: values that lie near each other come in one request.

A block never exceeds the profile's limit and never touches an address that no profile of its unit calls
readable. Each block knows other shapes of itself (a register more at either end), so that it can be asked
again while a late reply to the first shape may still arrive: the two replies have different lengths and
cannot be mixed up.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from firmware_bridge.frames import Request
from firmware_bridge.link import LinkTiming
from firmware_bridge.registers import Register, Table
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One register of one channel of one sensor, at its wire address."""

    sensor: SensorSettings
    name: str
    register: Register
    channel: int
    address: int
    bit: int

    @property
    def end(self) -> int:
        return self.address + self.register.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Where a part lies among the values of a reply."""

    part: Part
    first: int

    def raw(self, values: Sequence[int]) -> int:
        register = self.part.register
        return register.raw(values[self.first : self.first + register.size], self.part.bit)


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

    @property
    def addresses(self) -> int:
        """How many different values it reads; several channels may be bits of one."""
        return len({(part.address, part.end) for part in self.parts})

    def split(self) -> "tuple[Block, ...]":
        """One block for each address: when the device refuses to read them together."""
        apart: dict[tuple[int, int], list[Part]] = {}
        for part in self.parts:
            apart.setdefault((part.address, part.end), []).append(part)
        return tuple(_block_of(self.purpose, parts, (), self.every_s) for parts in apart.values())


def plan_blocks(sensors: Sequence[SensorSettings], timing: LinkTiming) -> tuple[Block, ...]:
    """All blocks of the sensors that share one unit id, occupancy first."""
    wanted: dict[tuple[Purpose, str, float], list[Part]] = {}
    for sensor in sensors:
        for purpose, name, every_s in _wishes(sensor):
            # All occupancy may come in one block; of the rest each register keeps to itself.
            key = (purpose, "" if purpose is Purpose.OCCUPANCY else name, every_s)
            wanted.setdefault(key, []).extend(_parts(sensor, name))
    blocks: list[Block] = []
    for purpose, name, every_s in sorted(wanted, key=lambda key: key[0]):
        blocks += _coalesce(sensors, purpose, wanted[purpose, name, every_s], every_s, timing)
    return tuple(blocks)


def parts_of(sensor: SensorSettings) -> Iterator[Part]:
    """Every register of every used channel of a sensor."""
    for name in sensor.profile.registers:
        yield from _parts(sensor, name)


def slots_of(sensors: Iterable[SensorSettings], request: Request) -> "tuple[Slot, ...]":
    """Every register of every used channel that a read brings whole."""
    parts = (part for sensor in sensors for part in parts_of(sensor))
    return tuple(
        Slot(part=part, first=part.address - request.address)
        for part in parts
        if part.register.table.read_function == request.function
        and part.address >= request.address
        and part.end <= request.address + request.count
    )


def occupancy_parts(sensor: SensorSettings) -> tuple[Part, ...]:
    """Where the occupancy of each used channel lies."""
    return _parts(sensor, sensor.profile.register_name(sensor.occupancy.signal))


def in_words(part: Part) -> str:
    """What is read for a channel: `unit 1 FC04 address 1 bit 1`."""
    signal = part.sensor.occupancy.signal
    text = f"unit {part.sensor.device_id} FC{part.register.table.read_function:02d} address {part.address}"
    if signal in part.register.bits:
        return f"{text} bit {part.register.bits[signal]}"
    if part.register.is_bit_of_register:
        last = part.bit + part.register.width - 1
        return f"{text} bit {part.bit}" if last == part.bit else f"{text} bits {part.bit} to {last}"
    return text if part.register.size == 1 else f"{text} to {part.end - 1}"


def _wishes(sensor: SensorSettings) -> Iterator[tuple[Purpose, str, float]]:
    """What is to be read of a sensor: why, which register, how often."""
    profile = sensor.profile
    signals = [sensor.occupancy.signal, *(fault.signal for fault in profile.faults)]
    fast = dict.fromkeys(profile.register_name(signal) for signal in signals)
    for name in fast:
        yield Purpose.OCCUPANCY, name, 0.0
    for setting in profile.reapply:
        yield Purpose.SETTING, setting.register_name, setting.every_s
    if profile.counter is not None:
        yield Purpose.COUNTER, profile.counter.register_name, profile.counter.every_s
    for name, register in profile.registers.items():
        if register.every_s is not None and name not in fast:
            yield Purpose.DIAGNOSTIC, name, register.every_s


def _parts(sensor: SensorSettings, name: str) -> tuple[Part, ...]:
    register = sensor.profile.registers[name]
    places = ((channel, sensor.profile.place(register, channel)) for channel in sensor.used_channels)
    return tuple(
        Part(
            sensor=sensor,
            name=name,
            register=register,
            channel=channel,
            address=place.address,
            bit=place.bit,
        )
        for channel, place in places
    )


def _coalesce(
    sensors: Sequence[SensorSettings],
    purpose: Purpose,
    parts: Iterable[Part],
    every_s: float,
    timing: LinkTiming,
) -> Iterator[Block]:
    run: list[Part] = []
    for part in sorted(parts, key=lambda part: (part.register.table, part.address)):
        if run and not _belongs(run, part, sensors, timing):
            yield _block(sensors, purpose, run, every_s)
            run = []
        run.append(part)
    if run:
        yield _block(sensors, purpose, run, every_s)


def _belongs(run: list[Part], part: Part, sensors: Sequence[SensorSettings], timing: LinkTiming) -> bool:
    table = part.register.table
    if run[0].register.table is not table:
        return False
    end = max(item.end for item in run)
    hole = range(end, part.address)
    if max(end, part.end) - run[0].address > _most(sensors, table):
        return False
    if not all(_is_readable(sensors, table, address) for address in hole):
        return False
    hole_bytes = len(hole) / 8 if table.holds_bits else 2 * len(hole)
    pause_s = max(USUAL_TURNAROUND_S, timing.gap_s) + timing.gap_s
    return hole_bytes <= _OVERHEAD_BYTES + pause_s / timing.char_s


def _most(sensors: Iterable[SensorSettings], table: Table) -> int:
    """The most addresses that the unit gives in one reply."""
    links = [sensor.profile.link for sensor in sensors]
    return min(link.max_bits if table.holds_bits else link.max_registers for link in links)


def _block(sensors: Sequence[SensorSettings], purpose: Purpose, run: list[Part], every_s: float) -> Block:
    table = run[0].register.table
    first, end = run[0].address, max(part.end for part in run)
    return _block_of(purpose, run, _wider_shapes(sensors, table, first, end), every_s)


def _block_of(
    purpose: Purpose, parts: Sequence[Part], wider: Iterable[tuple[int, int]], every_s: float
) -> Block:
    table, first, device_id = parts[0].register.table, parts[0].address, parts[0].sensor.device_id
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
        parts=tuple(parts),
        requests=tuple(requests),
        probe=probe,
        every_s=every_s,
    )


def _wider_shapes(
    sensors: Sequence[SensorSettings], table: Table, first: int, end: int
) -> Iterator[tuple[int, int]]:
    """Up to two larger blocks around this one: their replies have other lengths."""
    if table.holds_bits:
        return  # eight bits make one character: a longer reply would reach too far
    low, high = first, end
    for _ in range(_ALTERNATIVES):
        if high - low >= _most(sensors, table):
            return
        if _is_readable(sensors, table, high):
            high += 1
        elif low > 0 and _is_readable(sensors, table, low - 1):
            low -= 1
        else:
            return
        yield (low, high - low)


def _is_readable(sensors: Iterable[SensorSettings], table: Table, address: int) -> bool:
    for sensor in sensors:
        profile = sensor.profile
        if any(listed is table and address in range_ for listed, range_ in profile.readable_ranges()):
            return True
        for register in profile.registers.values():
            if register.table is table and any(
                0 <= address - profile.address(register, channel) < register.size
                for channel in profile.channel_numbers
            ):
                return True
    return False
