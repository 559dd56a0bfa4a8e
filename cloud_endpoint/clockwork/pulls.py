"""Captures are pulled from poles that can be reached; a failed pull is due again a little later."""

import logging
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from cloud_endpoint.base.service import Cloud
from cloud_endpoint.database.engine import padded, reading, writing
from cloud_endpoint.database.tables import CAPTURE_ASKED, captures, devices
from cloud_endpoint.ordering.pole_news import take_capture
from cloud_endpoint.poles import captures as capture_requests
from cloud_endpoint.poles import pulls

log = logging.getLogger(__name__)

MOST_PULLS = 3
LEASE_MS = 5_000  # longer than the pull itself: judging the answer waits for the order's row


def due(connection: Connection, now_ms: int, most: int, passed_over: Collection[str]) -> Sequence[Any]:
    """Return captures to pull now, locked, without those of poles that are passed over."""
    c = captures.c
    return connection.execute(
        select(captures)
        .where(CAPTURE_ASKED, c.due_ms <= now_ms, c.device_id.not_in(padded(passed_over)))
        .order_by(c.due_ms)
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()


def lease(connection: Connection, cloud: Cloud, capture: Any, now_ms: int) -> bool:
    """Have the capture come due after the pull; False when its time is over, and then it is closed."""
    if capture.expires_ms <= now_ms:
        capture_requests.close(connection, capture, "failed", "no answer in time")
        return False
    c = captures.c
    connection.execute(
        update(captures)
        .where(c.site_id == capture.site_id, c.request_id == capture.request_id)
        .values(
            due_ms=now_ms + round(cloud.settings.poles.pull_timeout_s * 1000) + LEASE_MS,
            attempts=capture.attempts + 1,
        )
    )
    return True


def pull(cloud: Cloud, capture: Any) -> None:
    """Ask the pole for the picture and judge what comes."""
    with reading(cloud.engine) as connection:
        pole = connection.execute(
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
            cloud.settings.poles.pull_timeout_s,
        )
    except pulls.PullFailed as exc:
        log.warning("pull failed device=%s berth=%s: %s", capture.device_id, capture.berth_no, exc)
        _pull_later(cloud, capture, str(exc))
        return
    take_capture(cloud, capture, snapshot)


def _pull_later(cloud: Cloud, capture: Any, error: str) -> None:
    attempts = capture.attempts + 1
    # After that it waits for the pole's next sync, which carries it, until it expires.
    wait_ms = 1000 * 2**attempts
    due_ms = cloud.clock() + wait_ms if attempts < MOST_PULLS else capture.expires_ms
    c = captures.c
    with writing(cloud.engine) as connection:
        connection.execute(
            update(captures)
            .where(c.site_id == capture.site_id, c.request_id == capture.request_id, CAPTURE_ASKED)
            .values(due_ms=min(due_ms, capture.expires_ms), error=error[:300])
        )
