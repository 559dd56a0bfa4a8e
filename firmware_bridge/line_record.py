"""What the line itself showed: noise, echo, frames that answer nothing, other programs. Pure."""

from collections import Counter

from firmware_bridge.frames import Shape
from firmware_bridge.statistics import Recent
from firmware_bridge.transaction import Outcome
from firmware_bridge.unasked import Unasked

_NOISE, _ECHO, _INTRUSION = "noise", "echo", "intrusion"


class LineRecord:
    """Counts from the start, and what happened in the last five minutes."""

    def __init__(self) -> None:
        self.noise_bytes = 0
        self.strangers: Counter[int] = Counter()
        self.echoes = False
        self._recent = Recent()
        self._unasked = Unasked()
        self._intrusion = ""

    def note_echo(self, outcome: Outcome, now_s: float) -> None:
        """Whether the adapter returns every request, as the last outcome shows it."""
        # A write that is confirmed by its own echo shows no difference; every other answer does.
        if outcome.heard and not outcome.request.is_confirmed_by_echo and outcome.echoed != self.echoes:
            self.echoes = outcome.echoed
            self._recent.add(_ECHO, now_s)

    def note_noise(self, size_bytes: int, now_s: float) -> None:
        if size_bytes:
            self.noise_bytes += size_bytes
            self._recent.add(_NOISE, now_s, size_bytes)

    def note_intrusion(self, what: str, now_s: float) -> None:
        """Another program uses the port, and takes characters or changes its settings."""
        self._intrusion = what
        self._recent.add(_INTRUSION, now_s)

    def frames_in(self, data: bytes, now_s: float) -> list[Shape]:
        """The whole frames that stray characters complete."""
        self.note_noise(len(data), now_s)
        return self._unasked.take(data, now_s)

    def intrusion(self, now_s: float) -> str:
        """What another program did in the last minutes; empty if nothing."""
        return self._intrusion if self._recent.counts(now_s)[_INTRUSION] else ""

    def recent_noise_bytes(self, now_s: float) -> int:
        return self._recent.counts(now_s)[_NOISE]

    def recent_echo_changes(self, now_s: float) -> int:
        return self._recent.counts(now_s)[_ECHO]
