"""Requests and replies as bytes: PDU coding and CRC are pymodbus's, the judging is ours.

pymodbus knows how every request is written and every reply is read. What its framer does not do is compare a
reply with the request it answers; `Request.answer_at` does that (docs/decisions/0010).
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
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
_WRITES = frozenset((5, 6, 15, 16))
_EXCEPTIONS = range(0x81, 0x91)
REPLY_FUNCTIONS = frozenset((*_READS, *_WRITES, *_EXCEPTIONS))
"""What the second character of a reply can be."""
_MOST_BITS = 2000
_MOST_REGISTERS = 125
_REPLIES = DecodePDU(False)
_BROADCAST = 0


def crc_bytes(body: bytes) -> bytes:
    """The two CRC characters that close a frame."""
    return int(FramerRTU.compute_CRC(body)).to_bytes(2, "big")


def crc_fits(frame: bytes) -> bool:
    return len(frame) >= _SHORTEST_FRAME and crc_bytes(frame[:-2]) == frame[-2:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One Modbus request. Reads carry `count`; a write of one register carries `value`."""

    device_id: int
    function: int
    address: int
    count: int = 1
    value: int | None = None
    payload_bytes: int = field(init=False, repr=False, compare=False)
    reply_bytes: int = field(init=False, repr=False, compare=False)
    """Length of the one reply that fits; an exception has EXCEPTION_BYTES."""

    def __post_init__(self) -> None:
        most = _MOST_BITS if self.function in (1, 2) else _MOST_REGISTERS
        is_write = self.function == 6
        if self.function not in _READS and not is_write:
            raise FrameError(f"function {self.function} is not one that this bus sends (1 to 4, 6)")
        if not 0 <= self.device_id <= 255 or (self.device_id == _BROADCAST and not is_write):
            raise FrameError(f"device id {self.device_id} cannot be asked (1 to 255)")
        if (
            not 0 <= self.address <= 0xFFFF
            or not 1 <= self.count <= most
            or self.address + self.count > 0x10000
        ):
            raise FrameError(f"block {self.address}+{self.count} is outside function {self.function}'s range")
        if is_write != (self.value is not None) or (self.value is not None and not 0 <= self.value <= 0xFFFF):
            raise FrameError(
                f"function {self.function} with value {self.value}: only writes carry one, 0 to 65535"
            )
        payload_bytes = (self.count + 7) // 8 if self.function in (1, 2) else 2 * self.count
        object.__setattr__(self, "payload_bytes", payload_bytes)
        object.__setattr__(self, "reply_bytes", 8 if is_write else 5 + payload_bytes)

    @property
    def is_write(self) -> bool:
        return self.value is not None

    @property
    def is_broadcast(self) -> bool:
        return self.device_id == _BROADCAST

    @property
    def shape(self) -> tuple[int, int, int]:
        """What a reply shows of its request: two requests of one shape have replies that look alike."""
        return (self.device_id, self.function, self.reply_bytes)

    @lru_cache(maxsize=4096)  # noqa: B019 - frozen and small; the same few are sent for years
    def encode(self) -> bytes:
        """The whole frame, CRC included."""
        if self.is_write:
            pdu: Any = WriteSingleRegisterRequest(
                address=self.address, registers=[self.value], dev_id=self.device_id
            )
        else:
            pdu = _READS[self.function](address=self.address, count=self.count, dev_id=self.device_id)
        try:
            body = bytes([self.device_id, self.function]) + bytes(pdu.encode())
        except (ModbusException, ValueError) as exc:
            raise FrameError(str(exc)) from exc
        return body + crc_bytes(body)

    def is_head(self, start: bytes) -> bool:
        """Whether a reply may begin with `start` (up to three characters)."""
        third = self.address >> 8 if self.is_write else self.payload_bytes
        return bytes((self.device_id, self.function, third)).startswith(start)

    def header_hits(self, frame: bytes) -> int:
        """How many of the reply's first three characters are as they must be (0 to 3)."""
        third = self.address >> 8 if self.is_write else self.payload_bytes
        return sum(
            got == wanted
            for got, wanted in zip(frame[:3], (self.device_id, self.function, third), strict=False)
        )

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
        # A write is answered by its own echo, whole; a read by exactly the bytes it asked for.
        fits = frame == self.encode() if self.is_write else frame[2] == self.payload_bytes
        return self.reply_bytes if fits else 0

    def values(self, frame: bytes) -> tuple[int, ...]:
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
        return 5 + data[start + 2]
    return 8 if function in _WRITES else 0
