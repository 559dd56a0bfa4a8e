"""Evidence pictures that reviews wait for are pulled from poles that can be reached."""

import logging
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import select, update

from cloud_endpoint.base.errors import Problem
from cloud_endpoint.database.engine import padded
from cloud_endpoint.database.service import Service, Work
from cloud_endpoint.database.tables import devices, wanted_pictures
from cloud_endpoint.poles import evidence, pulls

log = logging.getLogger(__name__)

LONGEST_WAIT_MS = 3_600_000


def due(work: Work, most: int, passed_over: Collection[str]) -> Sequence[Any]:
    """Return pictures to pull now, locked, without those of poles that are passed over."""
    w = wanted_pictures.c
    return work.connection.execute(
        select(wanted_pictures, devices.c.snapshot_url, devices.c.snapshot_token)
        .join(devices, devices.c.device_id == w.device_id)
        .where(
            w.due_ms <= work.now_ms,
            devices.c.snapshot_url.is_not(None),
            w.device_id.not_in(padded(passed_over)),
        )
        .order_by(w.due_ms)
        .limit(most)
        .with_for_update(skip_locked=True, of=wanted_pictures)
    ).all()


def lease(work: Work, row: Any) -> bool:
    """Have the picture come due again, the later the more often it failed."""
    w = wanted_pictures.c
    wait_ms = min(LONGEST_WAIT_MS, 10_000 * 2 ** min(row.attempts, 10))
    work.connection.execute(
        update(wanted_pictures)
        .where(w.site_id == row.site_id, w.sha256 == row.sha256)
        .values(attempts=row.attempts + 1, due_ms=work.now_ms + wait_ms)
    )
    return True


def fetch(service: Service, row: Any) -> None:
    """Pull one picture and keep it; the pole's sync is asked for it too."""
    try:
        body = pulls.picture(
            row.snapshot_url, row.snapshot_token or "", row.sha256, service.settings.poles.pull_timeout_s
        )
        with service.writing() as work:
            evidence.store(work, row.site_id, row.device_id, row.sha256, body)
    except (pulls.PullFailed, Problem) as exc:
        log.warning("picture not pulled device=%s: %s", row.device_id, exc)
