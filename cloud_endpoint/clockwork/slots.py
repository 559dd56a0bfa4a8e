"""How much work is under way, in all and at each peer."""

import threading
from collections import Counter


class Slots:
    """At most `total` pieces of work at once, and at most `per_peer` at one peer. Safe between threads.

    A peer is a pole or a receiver of webhooks: one that answers slowly, or never, delays no other.
    """

    def __init__(self, total: int, per_peer: int) -> None:
        self._total = total
        self._per_peer = per_peer
        self._changed = threading.Condition()
        self._taken: Counter[str] = Counter()

    @property
    def free(self) -> int:
        """The number of free slots."""
        with self._changed:
            return self._total - self._taken.total()

    def take(self, peer: str) -> bool:
        """Take a slot for work at this peer; False when none is free or the peer has its share."""
        with self._changed:
            if self._taken.total() >= self._total or self._taken[peer] >= self._per_peer:
                return False
            self._taken[peer] += 1
            return True

    def give_back(self, peer: str) -> None:
        """Free a slot of this peer."""
        with self._changed:
            self._taken[peer] -= 1
            if not self._taken[peer]:
                del self._taken[peer]
            self._changed.notify_all()

    def drain(self, timeout_s: float) -> int:
        """Wait until no slot is taken; returns how many still are."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken, timeout_s)
            return self._taken.total()
