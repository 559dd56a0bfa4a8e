"""Captures are pulled from poles that can be reached; a failed pull is due again a little later."""

import logging
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import select, update

from cloud_endpoint.database.engine import padded
from cloud_endpoint.database.service import Service, Work
from cloud_endpoint.database.tables import CAPTURE_ASKED, captures, devices
from cloud_endpoint.ordering.pole_news import take_capture
from cloud_endpoint.poles import captures as capture_requests
from cloud_endpoint.poles import pulls

log = logging.getLogger(__name__)

MOST_PULLS = 3
LEASE_MS = 5_000  # longer than the pull itself: judging the answer waits for the order's row


def due(work: Work, most: int, passed_over: Collection[str]) -> Sequence[Any]:
    """Return captures to pull now, locked, without those of poles that are passed over."""
    c = captures.c
    return work.connection.execute(
        select(captures)
        .where(CAPTURE_ASKED, c.due_ms <= work.now_ms, c.device_id.not_in(padded(passed_over)))
        .order_by(c.due_ms)
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()


def lease(work: Work, capture: Any) -> bool:
    """Have the capture come due after the pull; False when its time is over, and then it is closed."""
    if capture.expires_ms <= work.now_ms:
        capture_requests.close(work.connection, capture, "failed", "no answer in time")
        return False
    c = captures.c
    work.connection.execute(
        update(captures)
        .where(c.site_id == capture.site_id, c.request_id == capture.request_id)
        .values(
            due_ms=work.now_ms + round(work.settings.poles.pull_timeout_s * 1000) + LEASE_MS,
            attempts=capture.attempts + 1,
        )
    )
    return True


def pull(service: Service, capture: Any) -> None:
    """Ask the pole for the picture and judge what comes."""
    with service.reading() as work:
        pole = work.connection.execute(
            select(devices.c.snapshot_url, devices.c.snapshot_token).where(
                devices.c.device_id == capture.device_id
            )
        ).one()
    try:
        if pole.snapshot_url is None:
            raise pulls.PullFailed("the pole cannot be pulled any more")
        snapshot = pulls.capture(
            pole.snapshot_url,
            pole.snapshot_token or "",
            capture.berth_no,
            capture.nonce,
            service.settings.poles.pull_timeout_s,
        )
    except pulls.PullFailed as exc:
        log.warning("pull failed device=%s berth=%s: %s", capture.device_id, capture.berth_no, exc)
        _pull_later(service, capture, str(exc))
        return
    take_capture(service, capture, snapshot)


def _pull_later(service: Service, capture: Any, error: str) -> None:
    attempts = capture.attempts + 1
    # After that it waits for the pole's next sync, which carries it, until it expires.
    wait_ms = 1000 * 2**attempts
    due_ms = service.clock() + wait_ms if attempts < MOST_PULLS else capture.expires_ms
    c = captures.c
    with service.writing() as work:
        work.connection.execute(
            update(captures)
            .where(c.site_id == capture.site_id, c.request_id == capture.request_id, CAPTURE_ASKED)
            .values(due_ms=min(due_ms, capture.expires_ms), error=error[:300])
        )
