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
# A unit with such a record is doubted for so long after each lost reply: what is read may be that reply.
_DOUBT_S = 30.0
_ON_RECORD_S = 600.0
_RECENT_S = 300.0
_MOST_REMEMBERED = 64


class Punctuality:
    """What is known of one unit's reply times. `late_ms` and `beyond_ms` may be asked from any thread."""

    def __init__(self) -> None:
        self.distrusted_until_s = NEVER
        self._given_up_s: dict[Shape, float] = {}  # when the last one of each shape was sent
        self._lost_s = NEVER
        self._distrust_s = 0.0
        self._late: deque[tuple[float, float]] = deque(
            maxlen=_MOST_REMEMBERED
        )  # when, delay: within the bound
        self._beyond: deque[tuple[float, float | None]] = deque(maxlen=_MOST_REMEMBERED)

    def note_lost(self, shape: Shape, sent_s: float, now_s: float) -> None:
        """A request was given up that may still be answered."""
        self._given_up_s[shape] = sent_s
        self._lost_s = now_s

    def note_late(self, shape: Shape, now_s: float) -> None:
        """A reply came after it was given up, but within the bound."""
        delay_s = self._delay_s(shape, now_s)
        if delay_s is not None:
            self._late.append((now_s, delay_s))

    def note_beyond(self, shape: Shape, now_s: float) -> None:
        """The unit spoke while no request to it could still be answered within the bound."""
        if self._beyond and now_s - self._beyond[-1][0] > _FORGIVEN_AFTER_S:
            self._distrust_s = 0.0
        self._distrust_s = min(max(_FIRST_DISTRUST_S, 2 * self._distrust_s), _LONGEST_DISTRUST_S)
        self.distrusted_until_s = now_s + self._distrust_s
        self._beyond.append((now_s, self._delay_s(shape, now_s)))

    def is_trusted(self, now_s: float) -> bool:
        return now_s >= self.distrusted_until_s

    def is_doubtful(self, now_s: float) -> bool:
        """Whether the unit has a record of such replies, and what is read now may be one more."""
        is_on_record = bool(self._beyond) and now_s - self._beyond[-1][0] < _ON_RECORD_S
        return is_on_record and now_s - self._lost_s < _DOUBT_S

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
