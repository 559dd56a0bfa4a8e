"""Waiting for what another thread does, with a deadline instead of a sleep."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")


class Runs(Protocol):
    def run(self, stop: threading.Event) -> None: ...


def until(condition: Callable[[], T], within_s: float = 15.0) -> T:
    """Return the condition's first true value; fail when the deadline passes first."""
    end_s = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < end_s, "waited in vain"
        threading.Event().wait(0.01)
    return result


@contextmanager
def running(*workers: Runs) -> Iterator[None]:
    """Run each worker in a thread of its own while the block lasts."""
    stop = threading.Event()
    threads = [threading.Thread(target=worker.run, args=(stop,)) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(15)
            assert not thread.is_alive()
