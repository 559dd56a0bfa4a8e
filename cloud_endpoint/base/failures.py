"""Unexpected errors in work that no caller waits for: counted and logged, and the rest goes on."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter

from cloud_endpoint.base.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

FAILURES = Counter(
    "edged_cloud_work_failures", "Pieces of work that ended in an unexpected error, by duty", ["duty"]
)


@contextmanager
def contained(duty: str, work: str, *, passing: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Run a piece of work that is due again by itself when it fails: only `passing` leaves the block.

    `work` names the piece of work in the log, without a plate.
    """
    try:
        yield
    except passing:
        raise
    except DatabaseUnavailable as exc:
        log.warning("%s: %s is due again: %s", duty, work, exc)
    except Exception:
        FAILURES.labels(duty).inc()
        log.exception("%s: unexpected error; %s is due again", duty, work)
