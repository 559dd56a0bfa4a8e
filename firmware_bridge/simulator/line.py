"""The wire between master and devices, without I/O: every character has its moment, and time is an argument.

The master's characters are taken as they are written and occupy the wire for their time; a request that
starts inside t3.5 after the last reply is dropped, as real slaves do. Characters that overlap garble each
other.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from firmware_bridge.frames import crc_bytes, crc_fits
from firmware_bridge.link import LinkTiming
from firmware_bridge.simulator.device import SimulatedDevice
from firmware_bridge.simulator.faults import LineFaults

# A UART hands over what came within about a millisecond in one piece.
_CHUNK_S = 0.001


@dataclass(slots=True)
class LineCounts:
    """What went over the line."""

    requests: int = 0
    replies: int = 0
    gap_violations: int = 0
    bad_requests: int = 0
    collisions: int = 0
    by_device: dict[int, int] = field(default_factory=dict)


class SimulatedLine:
    """All devices of one bus and the wire they share."""

    def __init__(
        self,
        devices: Iterable[SimulatedDevice],
        *,
        timing: LinkTiming,
        rng: Random,
        faults: LineFaults | None = None,
    ) -> None:
        self.devices = list(devices)
        self.faults = faults or LineFaults()
        self.counts = LineCounts()
        self._timing = timing
        self._rng = rng
        self._incoming = bytearray()
        self._incoming_end_s = 0.0
        self._incoming_dropped = False
        self._silence_s = 0.0
        self._air: list[tuple[float, int]] = []  # (when the character is complete, character), in order
        self._quiet_since_s = 0.0
        self._busy_until: dict[int, float] = {}
        self._last_reply: dict[int, bytes] = {}

    def next_s(self) -> float | None:
        """When there is something to do next: a character to deliver, or a request to take as complete."""
        due = [self._chunk_end_s()] if self._air else []
        if self._incoming:
            due.append(self._incoming_end_s + self._timing.gap_s)
        return min(due, default=None)

    def receive(self, data: bytes, now_s: float) -> None:
        """The master wrote `data` at `now_s`."""
        if not data:
            return
        start_s = max(now_s, self._incoming_end_s)
        if not self._incoming:
            self._silence_s = now_s - self._quiet_since_s
            self._incoming_dropped = (
                now_s < self._quiet_since_s + self._timing.gap_s and self._quiet_since_s > 0
            )
            self.counts.gap_violations += self._incoming_dropped
        self._incoming_end_s = start_s + self._timing.wire_s(len(data))
        if self._collide(start_s, self._incoming_end_s):
            data = self._rng.randbytes(len(data))
        self._incoming += self._corrupted(data)
        if self.faults.echo:
            self._put(start_s, data)

    def collect(self, now_s: float) -> bytes:
        """Characters that the master can read by `now_s`."""
        if self._incoming and now_s >= self._incoming_end_s + self._timing.gap_s:
            self._take_request(self._incoming_end_s)
        if not self._air or self._air[0][0] > now_s:
            return b""
        count = sum(when_s <= now_s for when_s, _ in self._air)
        delivered = bytes(character for _, character in self._air[:count])
        del self._air[:count]
        self._quiet_since_s = max(self._quiet_since_s, now_s)
        return delivered

    def device(self, device_id: int) -> SimulatedDevice | None:
        return next((device for device in self.devices if device.device_id == device_id), None)

    def _take_request(self, end_s: float) -> None:
        frame = bytes(self._incoming)
        self._incoming.clear()
        self.counts.requests += 1
        if self._incoming_dropped:
            return
        if not crc_fits(frame):
            self.counts.bad_requests += 1
            return
        self.counts.by_device[frame[0]] = self.counts.by_device.get(frame[0], 0) + 1
        for device in self.devices:
            if frame[0] == 0:
                device.answer(frame[1:-2])
            elif device.device_id == frame[0] and self._silence_s > device.silence_s - 1e-6:
                self._reply(device, frame[1:-2], end_s)

    def _reply(self, device: SimulatedDevice, pdu: bytes, end_s: float) -> None:
        plan, chance = device.faults, self._rng.random
        unit_id = device.device_id
        if chance() < plan.silent_rate:
            return
        if chance() < plan.exception_rate:
            reply = device.refuse(pdu[0], int(plan.exception_code))
        else:
            reply = device.answer(pdu)
        if chance() < plan.wrong_count_rate and pdu[0] in (3, 4) and reply[0] < 0x80:
            reply = bytes([reply[0], reply[1] + 2]) + reply[2:] + b"\x00\x00"
        if chance() < plan.wrong_id_rate:
            unit_id = unit_id % 247 + 1
        frame = bytes([unit_id]) + reply
        frame += crc_bytes(frame)
        fresh = frame
        if chance() < plan.crc_rate:
            frame = frame[:-1] + bytes([frame[-1] ^ 0x01])
        if chance() < plan.truncate_rate:
            frame = frame[: -self._rng.randint(1, len(frame) - 1)]
        if chance() < plan.merge_rate:
            frame = self._last_reply.get(device.device_id, b"") + frame
        if chance() < plan.babble_rate:
            frame = self._rng.randbytes(int(plan.babble_bytes))
        self._last_reply[device.device_id] = fresh
        delay_s = max(device.turnaround_s, self._timing.gap_s)
        if chance() < plan.late_rate:
            delay_s += plan.late_s
        split_s = plan.split_s if chance() < plan.split_rate else 0.0
        sender = self.counts.requests if plan.overtaking else -id(device)
        self._transmit(sender, frame, end_s + delay_s, split_s)

    def _transmit(self, sender: int, frame: bytes, start_s: float, split_s: float) -> None:
        # A device sends one reply after the other, however late the first one is.
        start_s = max(start_s, self._busy_until.get(sender, 0.0))
        if self._rng.random() < self.faults.leading_noise_rate:
            frame = b"\x00\xff" + frame
            start_s -= self._timing.wire_s(2)
        if self._rng.random() < self.faults.trailing_noise_rate:
            frame += b"\x00"
        head = self._rng.randrange(1, len(frame)) if split_s and len(frame) > 1 else len(frame)
        end_s = self._put(start_s, self._corrupted(frame[:head]))
        if frame[head:]:
            end_s = self._put(end_s + split_s, self._corrupted(frame[head:]))
        if self._rng.random() < self.faults.idle_noise_rate:
            self._put(end_s + 1.5 * self._timing.gap_s, self._rng.randbytes(1))
        self._busy_until[sender] = end_s + self._timing.gap_s
        self.counts.replies += 1

    def _put(self, start_s: float, data: bytes) -> float:
        """Lay characters on the wire; returns when the last is complete."""
        char_s = self._timing.char_s
        end_s = start_s + char_s * len(data)
        if self._collide(start_s, end_s):
            data = self._rng.randbytes(len(data))
        self._air += [(start_s + char_s * (at + 1), character) for at, character in enumerate(data)]
        self._air.sort(key=lambda item: item[0])
        return end_s

    def _collide(self, start_s: float, end_s: float) -> bool:
        char_s = self._timing.char_s
        hit = [
            at
            for at, (when_s, _) in enumerate(self._air)
            if when_s - char_s < end_s - 1e-9 and start_s < when_s - 1e-9
        ]
        for at in hit:
            self._air[at] = (self._air[at][0], self._rng.randrange(256))
        self.counts.collisions += bool(hit)
        return bool(hit)

    def _corrupted(self, data: bytes) -> bytes:
        rate = self.faults.corrupt_byte_rate
        if not rate:
            return data
        return bytes(b ^ self._rng.randint(1, 255) if self._rng.random() < rate else b for b in data)

    def _chunk_end_s(self) -> float:
        """When the chunk that is now on its way is complete: its last character within a millisecond."""
        first_s = self._air[0][0]
        end_s = first_s
        for when_s, _ in self._air:
            # characters that follow each other belong together; a pause ends the chunk
            if when_s > first_s + _CHUNK_S or when_s > end_s + 1.5 * self._timing.char_s:
                break
            end_s = when_s
        return end_s
