"""Whether a unit keeps its reply times: frames that came too late for their request. Pure.

A reply that comes after its request was given up, but within the profile's `max_reply_delay_ms`, is late and
does no harm: nothing that looks like it is asked meanwhile (docs/decisions/0011). A reply that comes later
may meet a request that it fits. A unit that was seen to do so is distrusted: its readings decide nothing
until it has kept the bound for a while (docs/decisions/0017).
"""

from collections import deque

from firmware_bridge.frames import EXCEPTION_BYTES, Shape

NEVER = float("-inf")
# Shorter than the time after which silence is a fault: one stray frame never takes a berth out of service.
_FIRST_DISTRUST_S = 3.0
_LONGEST_DISTRUST_S = 60.0
_FORGIVEN_AFTER_S = 120.0
# What is read so soon after a request of its shape was lost may be that one's reply: for two seconds, or
# eight times the unit's bound. It is believed if it took as long as the unit's replies usually take.
_LEAST_DOUBT_S = 2.0
_DOUBT_BOUNDS = 8
_TOLERANCE_S = 0.002
_USUAL = 32
_STEADY = 5  # so many replies in a row that took equally long show what is usual, though each is doubtful
_RECENT_S = 300.0
_MOST_REMEMBERED = 64


class Punctuality:
    """What is known of one unit's reply times. `late_ms` and `beyond_ms` may be asked from any thread."""

    def __init__(self, bound_s: float) -> None:
        self.distrusted_until_s = NEVER
        self._doubt_s = max(_LEAST_DOUBT_S, _DOUBT_BOUNDS * bound_s)
        self._doubted_s: deque[float] = deque(maxlen=_STEADY)
        self._usual_s: deque[float] = deque(maxlen=_USUAL)  # turnarounds of replies that are beyond doubt
        self._given_up_s: dict[Shape, float] = {}  # when the last one of each shape was sent
        self._distrust_s = 0.0
        self._late: deque[tuple[float, float]] = deque(
            maxlen=_MOST_REMEMBERED
        )  # when, delay: within the bound
        self._beyond: deque[tuple[float, float | None]] = deque(maxlen=_MOST_REMEMBERED)

    def note_lost(self, shape: Shape, sent_s: float) -> None:
        """A request was given up that may still be answered."""
        self._given_up_s[shape] = sent_s

    def has_lost(self, shape: Shape, now_s: float) -> bool:
        """Whether a request that a frame of this shape answers was lost a short time ago."""
        delay_s = self._delay_s(shape, now_s)
        return delay_s is not None and delay_s < self._doubt_s

    def note_late(self, shape: Shape, now_s: float) -> None:
        """A reply came after it was given up, but within the bound."""
        delay_s = self._delay_s(shape, now_s)
        if delay_s is not None:
            self._late.append((now_s, delay_s))

    def note_beyond(self, shape: Shape, now_s: float) -> bool:
        """The unit spoke while no request to it could still be answered within the bound.

        Returns whether it is distrusted for it: only where a request was lost that this may answer. Else
        another master asked it, or a garbled request, or there are two devices with its id.
        """
        if not self.has_lost(shape, now_s):
            self._beyond.append((now_s, None))
            return False
        if self._beyond and now_s - self._beyond[-1][0] > _FORGIVEN_AFTER_S:
            self._distrust_s = 0.0
        self._distrust_s = min(max(_FIRST_DISTRUST_S, 2 * self._distrust_s), _LONGEST_DISTRUST_S)
        self.distrusted_until_s = now_s + self._distrust_s
        self._beyond.append((now_s, self._delay_s(shape, now_s)))
        return True

    def is_trusted(self, now_s: float) -> bool:
        return now_s >= self.distrusted_until_s

    def believes(self, shape: Shape, turnaround_s: float, now_s: float) -> bool:
        """Whether a reply answers its request, and not an earlier one of the same shape."""
        if not self.has_lost(shape, now_s):
            self._usual_s.append(turnaround_s)
            return True
        self._doubted_s.append(turnaround_s)
        is_steady = max(self._doubted_s) - min(self._doubted_s) <= 2 * _TOLERANCE_S
        if is_steady and len(self._doubted_s) == _STEADY:
            self._usual_s.extend(self._doubted_s)  # late replies come at any time
        if not self._usual_s:
            return False
        return min(self._usual_s) - _TOLERANCE_S <= turnaround_s <= max(self._usual_s) + _TOLERANCE_S

    def late_ms(self, now_s: float) -> list[float]:
        """Delays of the last minutes' late replies that were within the bound, in ms after the request."""
        return [1000 * delay_s for at_s, delay_s in tuple(self._late) if now_s - at_s < _RECENT_S]

    def beyond_ms(self, now_s: float) -> list[float | None]:
        """The same of those beyond the bound; None where no request is known that it could answer."""
        recent = (delay_s for at_s, delay_s in tuple(self._beyond) if now_s - at_s < _RECENT_S)
        return [None if delay_s is None else 1000 * delay_s for delay_s in recent]

    def _delay_s(self, shape: Shape, now_s: float) -> float | None:
        _, function, size = shape
        if size == EXCEPTION_BYTES and function & 0x80:
            sent = [at_s for (_, asked, _), at_s in self._given_up_s.items() if asked == function & 0x7F]
            return now_s - max(sent) if sent else None
        sent_s = self._given_up_s.get(shape)
        return None if sent_s is None else now_s - sent_s
