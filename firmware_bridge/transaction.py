"""One request and what the line says afterwards, without I/O: characters and times in, one outcome out.

An RTU reply names neither its register nor its request. It is taken for the answer only if all of this holds:
unit id, function, byte count and CRC fit the request; it was whole before the deadline; and the line stayed
silent for t3.5 after it (that silence has to pass before the next request anyway, so it costs nothing).
Everything else is counted and thrown away: leading noise, other sensors' late replies, the echo of a
two-wire adapter, glued frames.
"""

from dataclasses import dataclass
from enum import StrEnum

from firmware_bridge.frames import (
    EXCEPTION_BYTES,
    REPLY_FUNCTIONS,
    Request,
    Shape,
    crc_fits,
    frame_length,
    whole_frames,
)
from firmware_bridge.link import LinkTiming

# USB adapters hand characters over in chunks up to 16 ms apart: a shorter pause is not a frame's end.
_CHUNK_PAUSE_S = 0.020
# A driver that releases the line makes a character or two of its own; more than that is a second frame.
_TRAILING_NOISE_BYTES = 3
# A reply spoilt by its CRC is looked for at the end of what was heard, with so much noise around it.
_NOISE_AROUND_BYTES = 16
_LONGEST_FRAME = 256
# What a gateway says in place of a device: no path to it, no answer from it.
_GATEWAY_CODES = frozenset((10, 11))
_ABSENT = _GATEWAY_CODES | {4}  # some servers say "device failure" for devices that are not there


class Cause(StrEnum):
    """How a transaction ended."""

    OK = "ok"
    EXCEPTION = "exception"
    TIMEOUT = "timeout"  # nothing, or nothing that could be the reply
    GARBLED = "garbled"  # the reply came, but its CRC is wrong
    WRONG_REPLY = "wrong_reply"  # this unit answered something else: function or byte count differ
    WRONG_UNIT = "wrong_unit"  # only other units were heard
    MERGED = "merged"  # a second frame followed without a gap: no telling which one answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one transaction.

    `sent_at_s`, `last_heard_s`: when the request was handed over, and when the line last said anything.
    `outstanding`: a reply to this request may still arrive and must not meet a request of the same shape.
    `strangers`: shapes (see Request.shape) of whole frames that were not the answer. `reply_s`: from sending
    to the last character.
    """

    request: Request
    cause: Cause
    sent_at_s: float = 0.0
    last_heard_s: float = 0.0
    values: tuple[int, ...] = ()
    exception_code: int = 0
    reply_s: float | None = None
    outstanding: bool = False
    noise_bytes: int = 0
    strangers: tuple[Shape, ...] = ()
    echoed: bool = False

    @property
    def heard(self) -> bool:
        """The sensor is there, whatever it said."""
        is_gateways = self.cause is Cause.EXCEPTION and self.exception_code in _GATEWAY_CODES
        return self.cause in (Cause.OK, Cause.EXCEPTION) and not is_gateways

    @property
    def is_absence(self) -> bool:
        """A gateway or a server answers instead of the device: failure, no path to it, no answer from it."""
        return self.cause is Cause.EXCEPTION and self.exception_code in _ABSENT


class Transaction:
    """Judges the characters that follow one request.

    `deadline_s` is when the reply must be whole: wire time of request and reply plus `response_timeout_s`.
    `echoes`: the adapter is known to return every request, so that a write's echo is not its confirmation.
    """

    def __init__(
        self,
        request: Request,
        *,
        sent_at_s: float,
        timing: LinkTiming,
        response_timeout_s: float,
        echoes: bool = False,
    ) -> None:
        self.request = request
        self.deadline_s = (
            sent_at_s + timing.wire_s(request.request_bytes + request.reply_bytes) + response_timeout_s
        )
        self._sent = request.encode()
        self._sent_at_s = sent_at_s
        self._gap_s = timing.gap_s
        self._least_char_s = timing.char_s * 10 / timing.bits
        self._end_s = self.deadline_s + timing.wire_s(_LONGEST_FRAME)
        self._echoes = echoes
        self._echoed = False
        self._data = bytearray()
        self._last_s = sent_at_s
        self._answer: Outcome | None = None  # how it ends if the line stays silent
        self._answered_at_s = 0.0
        self._whole_s = 0.0
        self._strangers: list[Shape] | None = []

    @property
    def idle_until_s(self) -> float:
        """Until when looking at the line is no use: the rest of a reply, or its gap, has to pass first."""
        return self.wake_s if self._answer else self._whole_s

    @property
    def wake_s(self) -> float:
        """When `conclude` should be called if nothing arrives before."""
        if self._answer:
            return min(self._last_s + self._gap_s, self._end_s)
        if self._garbled_at() is not None:
            pause_s = 0.0 if self._is_just_the_reply() else _CHUNK_PAUSE_S
            return min(self._last_s + self._gap_s + pause_s, self.deadline_s)
        return self.deadline_s

    def receive(self, data: bytes, now_s: float, *, since_s: float | None = None) -> None:
        """Take what the line brought at `now_s`. After the deadline nothing becomes an answer any more.

        `since_s`: when the line was last looked at, if the caller was held up: what waited there came before
        now.
        """
        came_s = now_s if since_s is None else since_s
        if not data or (self._answer is None and came_s > self.deadline_s):
            return
        self._last_s = now_s
        self._data += data
        self._drop_echo()
        if len(self._data) == len(data):
            self._whole_s = self._expected_s(now_s)
        self._strangers = None
        if len(self._data) > 4 * _LONGEST_FRAME:  # babble: keep the end, where an answer would be
            del self._data[: -2 * _LONGEST_FRAME]
        # What looked like the answer may turn out to be part of a longer frame of another unit.
        was_answered, at = self._answer is not None, self._find() if self._may_hold_answer() else None
        if at is None:
            self._answer = None
        else:
            self._answered_at_s = self._answered_at_s if was_answered else now_s
            self._answer = self._accept(*at)

    def conclude(self, now_s: float) -> Outcome | None:
        """The outcome, once nothing can change it any more."""
        if now_s < self.wake_s:
            return None
        if self._answer:
            is_silent = now_s >= self._last_s + self._gap_s
            return self._answer if is_silent else self._outcome(Cause.MERGED, outstanding=True)
        if self._garbled_at() is not None:
            return self._outcome(Cause.GARBLED, outstanding=not self._is_just_the_reply())
        strangers = self._others()
        if any(shape[0] == self.request.device_id for shape in strangers):
            return self._outcome(Cause.WRONG_REPLY, outstanding=True)
        return self._outcome(Cause.WRONG_UNIT if strangers else Cause.TIMEOUT, outstanding=True)

    def _expected_s(self, now_s: float) -> float:
        """When the reply that has begun can be nearly whole, were its characters as short as they can be."""
        missing = self.request.reply_bytes - len(self._data)
        if missing < 2 or not self.request.is_head(bytes(self._data[:3])):
            return 0.0
        return min(now_s + (missing - 1) * self._least_char_s, self.deadline_s)

    def _drop_echo(self) -> None:
        if self._echoed or not self._could_be_echo():
            return
        if self._data[: len(self._sent)] == self._sent:
            del self._data[: len(self._sent)]
            self._echoed = True

    def _could_be_echo(self) -> bool:
        # A write may be answered by its own echo: there the adapter must be known for it.
        return self._echoes or not self.request.is_confirmed_by_echo

    def _may_hold_answer(self) -> bool:
        """A quick look before a search: an answer or exception seems to begin, with room to be whole."""
        data, device_id, function = self._data, self.request.device_id, self.request.function
        at = data.find(bytes((device_id, function)))
        if at >= 0 and len(data) - at >= self.request.reply_bytes:
            return True
        at = data.find(bytes((device_id, function | 0x80)))
        return at >= 0 and len(data) - at >= EXCEPTION_BYTES

    def _others(self) -> list[Shape]:
        """Shapes of whole frames that are not the answer."""
        if self._strangers is None:
            self._find()
        return self._strangers or []

    def _find(self) -> tuple[int, int] | None:
        """Start and length of the answer in what was heard; whole frames of others are stepped over."""
        data = bytes(self._data)
        self._strangers = strangers = []
        start = 0
        while start < len(data) - 1:
            if data[start + 1] not in REPLY_FUNCTIONS:
                start += 1
                continue
            size = self.request.answer_at(data, start)
            if size:
                return start, size
            other = frame_length(data, start)
            if other and start + other <= len(data) and crc_fits(data[start : start + other]):
                strangers.append((data[start], data[start + 1], other))
                start += other  # whole: nothing inside it is a frame
            else:
                start += 1
        return None

    def _accept(self, start: int, size: int) -> Outcome:
        """What the frame found there says, if the line stays silent now."""
        frame = bytes(self._data[start : start + size])
        trailing = bytes(self._data[start + size :])
        own_start = bytes([self.request.device_id, self.request.function])
        if len(trailing) > _TRAILING_NOISE_BYTES or own_start in trailing:
            self._strangers = [(f[0], f[1], len(f)) for f in whole_frames(trailing)]
            return self._outcome(Cause.MERGED, outstanding=True)
        reply_s = self._answered_at_s - self._sent_at_s
        noise = start + len(trailing)
        if size == EXCEPTION_BYTES and frame[1] & 0x80:
            return self._outcome(Cause.EXCEPTION, exception_code=frame[2], reply_s=reply_s, noise_bytes=noise)
        return self._outcome(
            Cause.OK, values=self.request.values_of(frame), reply_s=reply_s, noise_bytes=noise
        )

    def _garbled_at(self) -> int | None:
        """Where a reply of the right length with a wrong CRC begins; None where there is none."""
        last = len(self._data) - self.request.reply_bytes
        if last < 0:
            return None
        first = max(0, last - _NOISE_AROUND_BYTES)
        for at in range(first, last + 1):
            if self.request.header_hits(bytes(self._data[at : at + 3])) >= 2:
                return None if self._others() else at
        return None

    def _is_just_the_reply(self) -> bool:
        # With another id it may be a neighbour's late reply, and ours is still to come.
        is_own = self._data[:1] == bytes((self.request.device_id,))
        return is_own and len(self._data) == self.request.reply_bytes and self._garbled_at() == 0

    def _outcome(
        self,
        cause: Cause,
        *,
        values: tuple[int, ...] = (),
        exception_code: int = 0,
        reply_s: float | None = None,
        outstanding: bool = False,
        noise_bytes: int | None = None,
    ) -> Outcome:
        return Outcome(
            request=self.request,
            cause=cause,
            sent_at_s=self._sent_at_s,
            last_heard_s=self._last_s,
            values=values,
            exception_code=exception_code,
            reply_s=reply_s,
            outstanding=outstanding,
            noise_bytes=len(self._data) if noise_bytes is None else noise_bytes,
            strangers=tuple(self._others()),
            echoed=self._echoed,
        )
