"""Run as a process and killed: several threads commit and say so, one delivers and says so.

Usage: crashing_writer.py DIRECTORY ROUND. Lines on stdout: `arrived ID`, `read ID`, `delivering EVENT`.
"""

import os
import sys
import termios
import threading
from pathlib import Path

from store_parts import at, opened, reading

from edged.store import Store
from edged.wire import EventVerdict, Verdict


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # one write: nothing is left in a buffer when killed
    if os.isatty(1):
        termios.tcdrain(1)  # a terminal has a buffer of its own, which a power cut empties


def arrive(store: Store, prefix: str) -> None:
    for number in range(1_000_000):
        visit_id = f"{prefix}-{number:06}"
        store.drive_in("1001", visit_id, at(number), "sensor")
        say(f"arrived {visit_id}")
        if number % 3 == 0:
            store.commit_reading(reading(visit_id, number))
            say(f"read {visit_id}")


def deliver(store: Store) -> None:
    while True:
        events = store.pending(2, at())
        for event in events:
            say(f"delivering {event.event_id}")
        store.apply_verdicts([EventVerdict(event_id=e.event_id, verdict=Verdict.ACCEPTED) for e in events])


def write(store: Store, prefix: str) -> None:
    """Write and deliver, in threads, until the process is killed."""
    threads = [threading.Thread(target=arrive, args=(store, f"{prefix}-{name}")) for name in ("a", "b", "c")]
    threads.append(threading.Thread(target=deliver, args=(store,)))
    for thread in threads:
        thread.start()


def main() -> None:
    directory, round_no = Path(sys.argv[1]), sys.argv[2]
    write(opened(directory), f"round{round_no}")


if __name__ == "__main__":
    main()
