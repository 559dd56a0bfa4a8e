"""How long things take on an RS-485 line. Pure arithmetic on baud rate and character length."""

from dataclasses import dataclass

# Modbus over serial line V1.02, 2.5.1.1: above 19200 baud the gap is fixed, so that interrupts stay few.
_FIXED_GAP_ABOVE_BAUD = 19200
_FIXED_GAP_S = 0.00175


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTiming:
    """The line's clock: characters of start + 8 data + parity + stop bits at `baudrate`.

    `bits` is 11 by the standard; 8N1 devices send 10, but their makers count 11. `silence_s`: what a device
    on this line needs before any request, where t3.5 is too short for it. `latency_s`: what a network between
    us and the line may add to a reply. `is_framed`: messages have a length and a transaction id, so that no
    silence is needed to part them.
    """

    baudrate: int
    bits: int = 11
    silence_s: float = 0.0
    latency_s: float = 0.0
    is_framed: bool = False

    @property
    def char_s(self) -> float:
        return self.bits / self.baudrate

    @property
    def gap_s(self) -> float:
        """t3.5: the silence that separates two frames."""
        if self.is_framed:
            return 0.0
        return _FIXED_GAP_S if self.baudrate > _FIXED_GAP_ABOVE_BAUD else 3.5 * self.char_s

    @property
    def before_request_s(self) -> float:
        """The silence that must precede a request."""
        return max(self.gap_s, self.silence_s)

    def wire_s(self, size_bytes: int) -> float:
        return size_bytes * self.char_s

    def transaction_s(self, *, request_bytes: int, reply_bytes: int, turnaround_s: float) -> float:
        """The least time of one request, its reply and the gap that must follow."""
        line_s = self.wire_s(request_bytes + reply_bytes)
        return line_s + max(turnaround_s, self.gap_s) + self.before_request_s
