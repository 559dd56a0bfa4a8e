"""Runs in the guest: opens the store, says what it holds, and writes until the power is cut.

Usage: guest.py DIRECTORY ROUND. Lines on stdout: `opening`, one JSON report, then those of `crashing_writer`.
"""

import json
import sys
from pathlib import Path

import structlog
from crashing_writer import say, write
from store_parts import at, opened

from edged.store import Store


def report(store: Store) -> dict[str, object]:
    """Return what the store holds, as the host compares it."""
    visits = store.visits(limit=1_000_000)
    waiting = store.pending(1_000_000, at(), max_bytes=1 << 30)
    visits_waiting = {event.body["visit_id"] for event in waiting}
    pictures = [visit.reading.evidence_sha256 for visit in visits if visit.reading]
    return {
        "visits": [visit.visit_id for visit in visits],
        "read": [visit.visit_id for visit in visits if visit.reading],
        "waiting": [event.event_id for event in waiting],
        "pictures_missing": sum(not (digest and store.evidence.has(digest)) for digest in pictures),
        "neither": sum(not visit.delivered and visit.visit_id not in visits_waiting for visit in visits),
        "problems": [str(problem) for problem in store.problems],
    }


def main() -> None:
    # the store's log goes to the console; stdout is for what the host reads
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    directory, round_no = Path(sys.argv[1]), sys.argv[2]
    say("opening")
    store = opened(directory)
    say(json.dumps(report(store)))
    write(store, round_no)


if __name__ == "__main__":
    main()
