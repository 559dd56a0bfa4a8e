"""Requests and replies as bytes: PDU coding and CRC are pymodbus's, the judging is ours.

pymodbus knows how every request is written and every reply is read. What its framer does not do is compare a
reply with the request it answers; `Request.answer_at` does that (docs/decisions/0010).
"""

from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from functools import lru_cache
from typing import Any

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from firmware_bridge.errors import FrameError

EXCEPTION_BYTES = 5
_SHORTEST_FRAME = 4
_READS: dict[int, Any] = {
    1: ReadCoilsRequest,
    2: ReadDiscreteInputsRequest,
    3: ReadHoldingRegistersRequest,
    4: ReadInputRegistersRequest,
}
_WRITES: dict[int, Any] = {
    5: WriteSingleCoilRequest,
    6: WriteSingleRegisterRequest,
    15: WriteMultipleCoilsRequest,
    16: WriteMultipleRegistersRequest,
}
_COIL_WRITES = (5, 15)
_SINGLE_WRITES = (5, 6)
_EXCEPTIONS = range(0x81, 0x91)
REPLY_FUNCTIONS = frozenset((*_READS, *_WRITES, *_EXCEPTIONS))
"""What the second character of a reply can be."""
_MOST_BITS = 2000
_MOST_REGISTERS = 125
_MOST_WRITTEN = {5: 1, 6: 1, 15: 1968, 16: 123}
_WRITE_REPLY_BYTES = 8
_REPLIES = DecodePDU(False)
Shape = tuple[int, int, int]  # unit id, function, length of the reply


def crc_bytes(body: bytes) -> bytes:
    """The two CRC characters that close a frame."""
    return int(FramerRTU.compute_CRC(body)).to_bytes(2, "big")


def crc_fits(frame: bytes) -> bool:
    return len(frame) >= _SHORTEST_FRAME and crc_bytes(frame[:-2]) == frame[-2:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One Modbus request. A read has a `count`; a write has the `values` of its registers or coils.

    `value` is short for `values` of one.
    """

    device_id: int
    function: int
    address: int
    count: int = 1
    value: InitVar[int | None] = None
    values: tuple[int, ...] = ()
    payload_bytes: int = field(init=False, repr=False, compare=False)
    reply_bytes: int = field(init=False, repr=False, compare=False)
    """Length of the one reply that fits; an exception has EXCEPTION_BYTES."""

    def __post_init__(self, value: int | None) -> None:
        if value is not None:
            object.__setattr__(self, "values", (value,))
        if self.values:
            object.__setattr__(self, "count", len(self.values))
        self._check()
        payload_bytes = (self.count + 7) // 8 if self.function in (1, 2) else 2 * self.count
        object.__setattr__(self, "payload_bytes", payload_bytes)
        object.__setattr__(self, "reply_bytes", _WRITE_REPLY_BYTES if self.is_write else 5 + payload_bytes)

    def _check(self) -> None:
        """Raise FrameError where Modbus cannot express it."""
        if self.function not in _READS and not self.is_write:
            raise FrameError(f"function {self.function} is not one that this bus sends (1 to 6, 15, 16)")
        if not 1 <= self.device_id <= 255:
            raise FrameError(f"device id {self.device_id} cannot be asked (1 to 255)")
        most = _MOST_BITS if self.function in (1, 2) else _MOST_REGISTERS
        most = _MOST_WRITTEN.get(self.function, most)
        end = self.address + self.count
        if not 0 <= self.address <= 0xFFFF or not 1 <= self.count <= most or end > 0x10000:
            raise FrameError(f"block {self.address}+{self.count} is outside function {self.function}'s range")
        highest = 1 if self.function in _COIL_WRITES else 0xFFFF
        is_right = all(0 <= value <= highest for value in self.values)
        if self.is_write != bool(self.values) or not is_right:
            shown = list(self.values) or None
            raise FrameError(
                f"function {self.function} with value {shown}: only writes carry values, 0 to {highest}"
            )

    @property
    def is_write(self) -> bool:
        return self.function in _WRITES

    @property
    def is_confirmed_by_echo(self) -> bool:
        """Whether the reply is the request itself, so that an adapter's echo looks like it."""
        return self.function in _SINGLE_WRITES

    @property
    def request_bytes(self) -> int:
        return len(self.encode())

    @property
    def shape(self) -> Shape:
        """What a reply shows of its request: two requests of one shape have replies that look alike."""
        return (self.device_id, self.function, self.reply_bytes)

    @lru_cache(maxsize=4096)  # noqa: B019 - frozen and small; the same few are sent for years
    def encode(self) -> bytes:
        """The whole frame, CRC included."""
        pdu: Any
        if not self.is_write:
            pdu = _READS[self.function](address=self.address, count=self.count, dev_id=self.device_id)
        elif self.function in _COIL_WRITES:
            bits = [bool(value) for value in self.values]
            pdu = _WRITES[self.function](address=self.address, bits=bits, dev_id=self.device_id)
        else:
            registers = list(self.values)
            pdu = _WRITES[self.function](address=self.address, registers=registers, dev_id=self.device_id)
        try:
            body = bytes([self.device_id, self.function]) + bytes(pdu.encode())
        except (ModbusException, ValueError) as exc:
            raise FrameError(str(exc)) from exc
        return body + crc_bytes(body)

    @lru_cache(maxsize=4096)  # noqa: B019 - as above
    def confirmation(self) -> bytes:
        """The one frame that confirms a write: single ones are echoed, others name address and count."""
        if self.is_confirmed_by_echo:
            return self.encode()
        body = self.encode()[:6]
        return body + crc_bytes(body)

    @property
    def third(self) -> int:
        """The third character of the reply."""
        return self.address >> 8 if self.is_write else self.payload_bytes

    def is_head(self, start: bytes) -> bool:
        """Whether a reply may begin with `start` (up to three characters)."""
        return bytes((self.device_id, self.function, self.third)).startswith(start)

    def header_hits(self, frame: bytes) -> int:
        """How many of the reply's first three characters are as they must be (0 to 3)."""
        head = (self.device_id, self.function, self.third)
        return sum(got == wanted for got, wanted in zip(frame[:3], head, strict=False))

    def answer_at(self, data: bytes, start: int) -> int:
        """Length of the answer or exception to this request that begins at `start`; 0 where none does."""
        if len(data) - start < EXCEPTION_BYTES or data[start] != self.device_id:
            return 0
        if data[start + 1] == self.function | 0x80:
            return EXCEPTION_BYTES if crc_fits(data[start : start + EXCEPTION_BYTES]) else 0
        if data[start + 1] != self.function:
            return 0
        frame = data[start : start + self.reply_bytes]
        if len(frame) < self.reply_bytes or not crc_fits(frame):
            return 0
        # A write is answered by one frame and no other; a read by exactly the bytes it asked for.
        fits = frame == self.confirmation() if self.is_write else frame[2] == self.payload_bytes
        return self.reply_bytes if fits else 0

    def values_of(self, frame: bytes) -> tuple[int, ...]:
        """Registers, or bits as 0 and 1, of a frame that `answer_at` accepted.

        Raises FrameError if undecodable.
        """
        pdu: Any = _REPLIES.decode(frame[1:-2])
        if pdu is None:
            raise FrameError(f"undecodable reply {frame.hex(' ')}")
        if self.function in (1, 2):
            return tuple(int(bit) for bit in pdu.bits[: self.count])
        return tuple(int(register) for register in pdu.registers)


def frame_length(data: bytes, start: int) -> int:
    """Length of the reply that seems to begin at `start`, by its own function and count; 0 if none can."""
    if len(data) - start < 3:
        return 0
    function = data[start + 1]
    if function in _EXCEPTIONS:
        return EXCEPTION_BYTES
    if function in _READS:
        return 5 + data[start + 2] if data[start + 2] else 0
    return _WRITE_REPLY_BYTES if function in _WRITES else 0


def whole_frames(data: bytes) -> Iterator[bytes]:
    """Every whole reply with a right CRC, wherever it begins; nothing inside one is looked at again."""
    start = 0
    while start <= len(data) - EXCEPTION_BYTES:
        size = frame_length(data, start)
        if size and start + size <= len(data) and crc_fits(data[start : start + size]):
            yield data[start : start + size]
            start += size
        else:
            start += 1
