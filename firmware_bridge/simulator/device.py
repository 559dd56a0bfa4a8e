"""One simulated sensor: a register bank laid out by its profile, and the vehicles that change it."""

from collections.abc import Iterable, Iterator
from typing import Any

from pymodbus.pdu import DecodePDU, ExceptionResponse
from pymodbus.pdu.bit_message import ReadCoilsResponse, ReadDiscreteInputsResponse
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersResponse,
    ReadInputRegistersResponse,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterResponse,
)

from firmware_bridge.errors import BridgeError
from firmware_bridge.profiles import Compare, Register, SensorProfile, Table, ValueType, WordOrder
from firmware_bridge.simulator.faults import FaultPlan

_REQUESTS = DecodePDU(True)
_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_VALUE = 1, 2, 3
_TABLES = {function: table for table in Table for function in (table.read_function,)}
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
        faults: FaultPlan | None = None,
    ) -> None:
        self.profile = profile
        self.device_id = device_id
        self.turnaround_s = turnaround_s
        self.faults = faults or FaultPlan()
        self._occupied: set[int] = set()
        self._next_device_id: int | None = None
        self._banks: dict[Table, dict[int, int]] = {table: {} for table in Table}
        self._lay_out()
        for channel in profile.channels:
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
        if rule.compare is Compare.BIT:
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
            for channel in self.profile.channels:
                self._poke(self.profile.registers[rule.register], channel, 0)
        if self._next_device_id is not None:
            self.device_id, self._next_device_id = self._next_device_id, None

    def write_signal(self, signal: str, channel: int, value: float) -> None:
        """Put a physical value (scaled) or a bit (0, 1) where the profile says that it stands."""
        register = self.profile.register_of(signal)
        if signal in register.bits:
            self._write_masked(signal, channel, 1, int(bool(value)))
        else:
            self._poke(register, channel, round(value / register.scale))

    def peek(self, signal: str, channel: int = 1) -> int:
        """The raw value of a register."""
        register = self.profile.register_of(signal)
        words = [self._banks[register.table][address] for address in self._addresses(register, channel)]
        if register.word_order is WordOrder.LSB_FIRST:
            words.reverse()
        raw = 0
        for word in words:
            raw = raw << 16 | word
        return raw

    def answer(self, pdu: bytes) -> bytes:
        """The reply PDU to a request PDU, as the device's firmware would give it."""
        function = pdu[0]
        request: Any = _REQUESTS.decode(pdu)
        if request is None or function not in (1, 2, 3, 4, 6, 16):
            return self.refuse(function, _ILLEGAL_FUNCTION)
        if function in (6, 16):
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
        bank = self._banks[Table.HOLDING_REGISTERS]
        written = dict(enumerate(request.registers, start=request.address))
        if any(address not in bank for address in written):
            return self.refuse(function, _ILLEGAL_ADDRESS)
        bank.update(written)
        self._take_new_id()
        if function == 6:
            reply: Any = WriteSingleRegisterResponse(address=request.address, registers=request.registers)
        else:
            reply = WriteMultipleRegistersResponse(address=request.address, count=len(written))
        return bytes([function]) + bytes(reply.encode())

    def _take_new_id(self) -> None:
        rule = self.profile.set_id
        if rule is None:
            return
        new_id = self.peek(rule.register)
        if new_id != self.device_id:
            self._next_device_id = new_id
            if not rule.needs_restart:
                self.device_id, self._next_device_id = new_id, None

    def _lay_out(self) -> None:
        for part in self.profile.readable:
            self._banks[part.table].update(dict.fromkeys(range(part.first, part.last + 1), 0))
        for register in self.profile.registers.values():
            for channel in self.profile.channels:
                self._poke(register, channel, 0)
        identity = self.profile.identity
        if identity is not None:
            self._poke(self.profile.registers[identity.register], 1, identity.equals)
        if self.profile.set_id is not None:
            self._poke(self.profile.registers[self.profile.set_id.register], 1, self.device_id)

    def _show(self, channel: int, *, occupied: bool) -> None:
        rule = self.profile.occupancy
        if rule.compare is Compare.BIT:
            value = float(occupied)
        else:
            # well beyond the threshold, on its far side
            away = abs(rule.occupied_at - rule.vacant_at)
            sign = -1 if rule.compare is Compare.BELOW else 1
            value = rule.occupied_at + sign * away if occupied else max(0.0, rule.vacant_at - sign * away)
        self.write_signal(rule.signal, channel, value)
        (self._occupied.add if occupied else self._occupied.discard)(channel)

    def _count(self, channel: int) -> None:
        if self.profile.counter is not None:
            name = self.profile.counter.register
            self._poke(self.profile.registers[name], channel, self.peek(name, channel) + 1 & 0xFFFFFFFF)

    def _write_masked(self, signal: str, channel: int, mask: int, equals: int) -> None:
        register = self.profile.register_of(signal)
        shift = register.bits.get(signal, 0)
        mask = (1 if signal in register.bits else mask) << shift
        raw = self.peek(register.name, channel) & ~mask | equals << shift & mask
        self._poke(register, channel, raw & (1 << 16 * register.type.words) - 1)

    def _poke(self, register: Register, channel: int, raw: int) -> None:
        if register.type is ValueType.BIT:
            words = [raw & 1]
        else:
            words = [raw >> 16 * at & 0xFFFF for at in range(register.type.words)]
            if register.word_order is WordOrder.MSB_FIRST:
                words.reverse()
        for address, word in zip(self._addresses(register, channel), words, strict=True):
            self._banks[register.table][address] = word

    def _addresses(self, register: Register, channel: int) -> Iterator[int]:
        start = self.profile.address(register, channel)
        return iter(range(start, start + register.size))

    def _check(self, channel: int) -> None:
        if channel not in self.profile.channels:
            raise BridgeError(
                f"{self.profile.name} has channels 1 to {len(self.profile.channels)}, not {channel}"
            )
