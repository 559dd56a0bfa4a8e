"""One simulated sensor: a register bank laid out by its profile, and the vehicles that change it."""

from collections.abc import Iterable
from typing import Any

from pymodbus.pdu import DecodePDU, ExceptionResponse
from pymodbus.pdu.bit_message import (
    ReadCoilsResponse,
    ReadDiscreteInputsResponse,
    WriteMultipleCoilsResponse,
    WriteSingleCoilResponse,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersResponse,
    ReadInputRegistersResponse,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterResponse,
)

from firmware_bridge.errors import BridgeError
from firmware_bridge.profile_rules import Compare
from firmware_bridge.profiles import SensorProfile
from firmware_bridge.registers import Register, Table, ValueType
from firmware_bridge.simulator.faults import FaultPlan

_REQUESTS = DecodePDU(True)
_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_VALUE = 1, 2, 3
_TABLES = {function: table for table in Table for function in (table.read_function,)}
_WRITE_TABLES = {
    5: Table.COILS,
    15: Table.COILS,
    6: Table.HOLDING_REGISTERS,
    16: Table.HOLDING_REGISTERS,
}
_READ_REPLIES: dict[int, Any] = {
    1: ReadCoilsResponse,
    2: ReadDiscreteInputsResponse,
    3: ReadHoldingRegistersResponse,
    4: ReadInputRegistersResponse,
}


class SimulatedDevice:
    """A sensor that answers for one unit id. `faults` may be exchanged while it runs."""

    def __init__(
        self,
        profile: SensorProfile,
        device_id: int,
        *,
        occupied: Iterable[int] = (),
        turnaround_s: float = 0.005,
        silence_s: float = 0.0,
        faults: FaultPlan | None = None,
    ) -> None:
        self.profile = profile
        self.device_id = device_id
        self.turnaround_s = turnaround_s
        self.silence_s = silence_s  # what it needs on the line before a request
        self.faults = faults or FaultPlan()
        self._occupied: set[int] = set()
        self._next_device_id: int | None = None
        self._banks: dict[Table, dict[int, int]] = {table: {} for table in Table}
        self._lay_out()
        for channel in profile.channel_numbers:
            self._show(channel, occupied=channel in set(occupied))

    @property
    def occupied(self) -> frozenset[int]:
        return frozenset(self._occupied)

    def arrive(self, channel: int = 1) -> None:
        """A vehicle drives in; a counter, where there is one, counts it."""
        self._check(channel)
        if channel not in self._occupied:
            self._count(channel)
        self._show(channel, occupied=True)

    def leave(self, channel: int = 1) -> None:
        self._check(channel)
        self._show(channel, occupied=False)

    def swap(self, channel: int = 1) -> None:
        """One leaves and another arrives between two polls: the level never changes, the counter does."""
        self.leave(channel)
        self.arrive(channel)

    def weaken(self, channel: int = 1) -> None:
        """A motorcycle: halfway between the thresholds. A loop's bit does show it."""
        self._check(channel)
        rule = self.profile.occupancy
        if rule.occupied_at is None or rule.vacant_at is None:
            self.arrive(channel)
        else:
            self.write_signal(rule.signal, channel, (rule.occupied_at + rule.vacant_at) / 2)

    def break_down(self, cause: str, channel: int = 1) -> None:
        """Show one of the profile's fault causes on a channel; "" shows none."""
        causes = {rule.cause: rule for rule in self.profile.faults}
        if cause and cause not in causes:
            raise BridgeError(
                f"{self.profile.name} can report {', '.join(causes) or 'no faults'}, not {cause!r}"
            )
        for rule in self.profile.faults:
            self._write_masked(rule.signal, channel, rule.mask, 0)
        if cause:
            self._write_masked(causes[cause].signal, channel, causes[cause].mask, causes[cause].equals)

    def power_cycle(self) -> None:
        """Forget what the profile says is forgotten; a new device id takes effect."""
        for rule in self.profile.reapply:
            for channel in self.profile.channel_numbers:
                self._poke(self.profile.registers[rule.register_name], channel, 0)
        if self._next_device_id is not None:
            self.device_id, self._next_device_id = self._next_device_id, None

    def write_signal(self, signal: str, channel: int, value: float) -> None:
        """Put a physical value (scaled) or a bit (0, 1) where the profile says."""
        register = self.profile.register_of(signal)
        if signal in register.bits:
            self._write_masked(signal, channel, 1, int(bool(value)))
            return
        number = (value - register.offset) / register.scale
        raw = register.raw_of(number if register.type is ValueType.FLOAT32 else round(number))
        if raw is None:
            raise BridgeError(f"{signal} of {self.profile.name} cannot hold {value:g}")
        self._poke(register, channel, raw)

    def peek(self, signal: str, channel: int = 1) -> int:
        """The raw value of a register."""
        register = self.profile.register_of(signal)
        place = self.profile.place(register, channel)
        bank = self._banks[register.table]
        words = [bank[place.address + at] for at in range(register.size)]
        return register.raw(words, place.bit)

    def answer(self, pdu: bytes) -> bytes:
        """The reply PDU to a request PDU, as the device's firmware would give it."""
        function = pdu[0]
        request: Any = _REQUESTS.decode(pdu)
        if request is None or function not in (*_TABLES, *_WRITE_TABLES):
            return self.refuse(function, _ILLEGAL_FUNCTION)
        if function in _WRITE_TABLES:
            return self._write(function, request)
        table = _TABLES[function]
        bank = self._banks[table]
        if not bank:
            return self.refuse(function, _ILLEGAL_FUNCTION)
        most = self.profile.link.max_bits if table.holds_bits else self.profile.link.max_registers
        if request.count > most:
            return self.refuse(function, _ILLEGAL_VALUE)
        wanted = range(request.address, request.address + request.count)
        if any(address not in bank for address in wanted):
            return self.refuse(function, _ILLEGAL_ADDRESS)
        values = [bank[address] for address in wanted]
        reply = _READ_REPLIES[function]
        pdu_reply = reply(bits=[bool(v) for v in values]) if table.holds_bits else reply(registers=values)
        return bytes([function]) + bytes(pdu_reply.encode())

    @staticmethod
    def refuse(function: int, code: int) -> bytes:
        return bytes([function | 0x80]) + bytes(ExceptionResponse(function, code).encode())

    def _write(self, function: int, request: Any) -> bytes:
        bank = self._banks[_WRITE_TABLES[function]]
        if function in (5, 15):
            values = [int(bit) for bit in request.bits[: 1 if function == 5 else request.count]]
        else:
            values = request.registers
        written = dict(enumerate(values, start=request.address))
        if any(address not in bank for address in written):
            return self.refuse(function, _ILLEGAL_ADDRESS)
        bank.update(written)
        self._take_new_id()
        reply: Any
        if function == 5:
            reply = WriteSingleCoilResponse(address=request.address, bits=[bool(values[0])])
        elif function == 6:
            reply = WriteSingleRegisterResponse(address=request.address, registers=values)
        elif function == 15:
            reply = WriteMultipleCoilsResponse(address=request.address, count=len(written))
        else:
            reply = WriteMultipleRegistersResponse(address=request.address, count=len(written))
        return bytes([function]) + bytes(reply.encode())

    def _take_new_id(self) -> None:
        rule = self.profile.set_id
        if rule is None:
            return
        new_id = self.peek(rule.register_name, self._first_channel)
        if new_id != self.device_id:
            self._next_device_id = new_id
            if not rule.needs_restart:
                self.device_id, self._next_device_id = new_id, None

    @property
    def _first_channel(self) -> int:
        return self.profile.channel_numbers[0]

    def _lay_out(self) -> None:
        for table, addresses in self.profile.readable_ranges():
            self._banks[table].update(dict.fromkeys(addresses, 0))
        for register in self.profile.registers.values():
            for channel in self.profile.channel_numbers:
                self._poke(register, channel, 0)
        identity = self.profile.identity
        if identity is not None:
            self._poke(self.profile.registers[identity.register_name], self._first_channel, identity.equals)
        if self.profile.set_id is not None:
            self._poke(
                self.profile.registers[self.profile.set_id.register_name], self._first_channel, self.device_id
            )

    def _show(self, channel: int, *, occupied: bool) -> None:
        rule = self.profile.occupancy
        if rule.compare is Compare.STATES:
            value: float = (rule.occupied if occupied else rule.vacant)[0]
            self._poke(self.profile.register_of(rule.signal), channel, int(value))
        elif rule.occupied_at is None or rule.vacant_at is None:
            self.write_signal(rule.signal, channel, float(occupied == bool(rule.occupied_at)))
        else:
            # well beyond the threshold, on its far side
            away = abs(rule.occupied_at - rule.vacant_at)
            sign = -1 if rule.compare is Compare.BELOW else 1
            value = rule.occupied_at + sign * away if occupied else max(0.0, rule.vacant_at - sign * away)
            self.write_signal(rule.signal, channel, value)
        (self._occupied.add if occupied else self._occupied.discard)(channel)

    def _count(self, channel: int) -> None:
        rule = self.profile.counter
        if rule is not None:
            register = self.profile.registers[rule.register_name]
            wraps_at = rule.wraps_at or 1 << register.value_bits
            self._poke(register, channel, (self.peek(rule.register_name, channel) + 1) % wraps_at)

    def _write_masked(self, signal: str, channel: int, mask: int, equals: int) -> None:
        name = self.profile.register_name(signal)
        register = self.profile.registers[name]
        shift = register.bits.get(signal, 0)
        mask = (1 if signal in register.bits else mask) << shift
        raw = self.peek(name, channel) & ~mask | equals << shift & mask
        self._poke(register, channel, raw & (1 << register.value_bits) - 1)

    def _poke(self, register: Register, channel: int, raw: int) -> None:
        """Put raw bits into their words; what else the words hold stays."""
        place, bank = self.profile.place(register, channel), self._banks[register.table]
        if register.is_bit_of_register:
            mask = (1 << register.width) - 1
            word = bank.get(place.address, 0) & ~(mask << place.bit) | raw << place.bit
            words: tuple[int, ...] = (word & 0xFFFF,)
        elif register.table.holds_bits:
            words = (raw & 1,)
        else:
            shift = 0 if register.mask is None else (register.mask & -register.mask).bit_length() - 1
            words = register.words(raw << shift)
        for address, word in enumerate(words, start=place.address):
            bank[address] = word

    def _check(self, channel: int) -> None:
        numbers = self.profile.channel_numbers
        if channel not in numbers:
            raise BridgeError(
                f"{self.profile.name} has channels {numbers[0]} to {numbers[-1]}, not {channel}"
            )
