"""How long and how large an exchange may be.

The timeout of a socket starts anew with each byte. Only a deadline for the whole ends a peer that sends a
byte now and then.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one exchange may take.

    `deadline_s`: from the name lookup to the last byte of the answer. `wait_s`: the longest wait for a single
    step (connect, TLS, the next bytes), None: as long as the deadline allows. `max_bytes`: the largest body,
    after decompression.
    """

    deadline_s: float
    wait_s: float | None = None
    max_bytes: int


class Deadline:
    """When an exchange ends, and how long its next step may wait."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.wait_s = bounds.deadline_s if bounds.wait_s is None else bounds.wait_s
        self._end_s = time.monotonic() + bounds.deadline_s

    @property
    def has_passed(self) -> bool:
        return time.monotonic() >= self._end_s

    def step_s(self) -> float:
        """Return how long the next step may wait; raises TimeoutError after the deadline."""
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the deadline of the whole exchange has passed")
        return min(left_s, self.wait_s)


# Sockets are opened deep inside urllib3, which passes no object of ours to them. The deadline of the exchange
# that this thread makes reaches them as a context variable.
_current: ContextVar[Deadline | None] = ContextVar("deadline of the exchange", default=None)


@contextmanager
def within(bounds: Bounds) -> Iterator[Deadline]:
    """Apply `bounds` to every socket that this thread uses inside the block."""
    deadline = Deadline(bounds)
    token = _current.set(deadline)
    try:
        yield deadline
    finally:
        _current.reset(token)


def current() -> Deadline:
    """Return the deadline of the exchange in progress; raises RuntimeError outside of one."""
    deadline = _current.get()
    if deadline is None:
        raise RuntimeError("a socket of edged.exchange was used outside an exchange")
    return deadline
