"""Waiting for what another thread does, with a deadline instead of a sleep."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import pytest

T = TypeVar("T")


class Runs(Protocol):
    def run(self, stop: threading.Event) -> None: ...


def until(condition: Callable[[], T], what: str = "the condition", *, within_s: float = 15.0) -> T:
    """Return the condition's first true value; fail with `what` when the deadline passes first."""
    end_s = time.monotonic() + within_s
    while not (result := condition()):
        if time.monotonic() > end_s:
            pytest.fail(f"not within {within_s:g} s: {what}")
        threading.Event().wait(0.005)
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
