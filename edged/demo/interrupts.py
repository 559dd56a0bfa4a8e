"""Ctrl-C, SIGTERM and a closed terminal end the demo with all its processes, in whatever phase they come."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_on_signals() -> None:
    """Let each signal raise KeyboardInterrupt in the main thread.

    Also where Python would not: a shell starts background jobs with SIGINT ignored. Under nohup the demo
    outlives its terminal, as asked.
    """
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold the signals back for a moment; what came meanwhile raises KeyboardInterrupt at the end."""
    came: list[int] = []
    held = {number: signal.signal(number, lambda got, _frame: came.append(got)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, action in held.items():
            signal.signal(number, action)
    if came:
        raise KeyboardInterrupt


@contextmanager
def deaf() -> Iterator[None]:
    """Ignore the signals: a second Ctrl-C must not stop us from ending the others."""
    held = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        yield
    finally:
        for number, action in held.items():
            signal.signal(number, action)
