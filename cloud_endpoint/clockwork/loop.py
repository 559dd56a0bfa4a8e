"""What happens without anybody asking: due orders, pulls, webhooks and pictures.

Several processes may run it on one database: a piece of work is claimed by moving its due time on, and
comes back by itself when the claimer dies.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import select, update

from cloud_endpoint.base.errors import DatabaseUnavailable, Problem
from cloud_endpoint.base.service import Cloud
from cloud_endpoint.database.engine import reading, writing
from cloud_endpoint.database.tables import CAPTURE_ASKED, devices, wanted_pictures
from cloud_endpoint.database.tables import captures as captures_table
from cloud_endpoint.ordering import due_orders, webhooks
from cloud_endpoint.ordering.pole_news import take_capture
from cloud_endpoint.poles import captures, evidence, pulls

log = logging.getLogger(__name__)

TICK_S = 0.5
PAUSE_S = 0.02  # what is asked for meanwhile is done in the same round
AT_ONCE = 32
MOST_PULLS = 3
LEASE_MS = 5_000
PICTURE_LONGEST_WAIT_MS = 3_600_000


class Clockwork:
    """Runs in a thread of its own until stopped; `failed` tells why it ended by itself."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clockwork")
        self._free = threading.Semaphore(AT_ONCE)
        self.failed: Exception | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the work at hand."""
        self._stop.set()
        self._cloud.wake.set()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="pull") as pool:
            tick_at = 0.0
            while not self._stop.is_set():
                self._cloud.wake.clear()
                try:
                    if time.monotonic() >= tick_at:
                        tick_at = time.monotonic() + TICK_S
                        look_at_due_orders(self._cloud)
                        self._start(pool, claim_pictures, fetch_picture)
                    self._start(pool, claim_pulls, pull)
                    self._start(pool, claim_webhooks, deliver_webhook)
                except DatabaseUnavailable as exc:
                    log.warning("%s; trying again", exc)
                except Exception as exc:  # told by `failed`, which the health check shows
                    log.exception("clockwork failed")
                    self.failed = exc
                    return
                self._cloud.wake.wait(max(0.0, tick_at - time.monotonic()))
                self._stop.wait(PAUSE_S)

    def _start(
        self,
        pool: ThreadPoolExecutor,
        claim: Callable[[Cloud, int], list[Any]],
        act: Callable[[Cloud, Any], None],
    ) -> None:
        """Claim no more than can be done at once: a claim that waits in line would come due again."""
        slots = 0
        while slots < AT_ONCE and self._free.acquire(blocking=False):
            slots += 1
        claimed: list[Any] = []
        try:
            claimed = claim(self._cloud, slots) if slots else []
        finally:
            if slots > len(claimed):
                self._free.release(slots - len(claimed))
        for work in claimed:
            pool.submit(self._act, act, work)

    def _act(self, act: Callable[[Cloud, Any], None], work: Any) -> None:
        try:
            act(self._cloud, work)
        except DatabaseUnavailable as exc:
            log.warning("%s; the work is due again by itself", exc)
        except Exception as exc:  # told by `failed`; other work goes on
            log.exception("clockwork failed")
            self.failed = exc
        finally:
            self._free.release()
            self._cloud.wake.set()


def claim_pulls(cloud: Cloud, most: int) -> list[Any]:
    """Return up to `most` captures that this process shall pull now."""
    now_ms = cloud.clock()
    lease_ms = now_ms + round(cloud.settings.poles.pull_timeout_s * 1000) + LEASE_MS
    c = captures_table.c
    with writing(cloud.engine) as connection:
        due = connection.execute(
            select(captures_table)
            .where(CAPTURE_ASKED, c.due_ms <= now_ms)
            .order_by(c.due_ms)
            .limit(most)
            .with_for_update(skip_locked=True)
        ).all()
        claimed = []
        for capture in due:
            if capture.expires_ms <= now_ms:
                captures.close(connection, capture, "failed", "no answer in time")
                continue
            connection.execute(
                update(captures_table)
                .where(c.site_id == capture.site_id, c.request_id == capture.request_id)
                .values(due_ms=lease_ms, attempts=capture.attempts + 1)
            )
            claimed.append(capture)
    return claimed


def pull(cloud: Cloud, capture: Any) -> None:
    """Ask the pole for the picture and judge what comes; a failure is due again a little later."""
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
    c = captures_table.c
    with writing(cloud.engine) as connection:
        connection.execute(
            update(captures_table)
            .where(c.site_id == capture.site_id, c.request_id == capture.request_id, CAPTURE_ASKED)
            .values(due_ms=min(due_ms, capture.expires_ms), error=error[:300])
        )


def look_at_due_orders(cloud: Cloud) -> int:
    """Do what the clock demands of orders; returns how many were due."""
    with writing(cloud.engine) as connection:
        return due_orders.look(connection, cloud.settings, cloud.clock())


def claim_webhooks(cloud: Cloud, most: int) -> list[Any]:
    """Return up to `most` webhooks that this process shall deliver now."""
    with writing(cloud.engine) as connection:
        return webhooks.claim(connection, most, cloud.clock())


def deliver_webhook(cloud: Cloud, row: Any) -> None:
    """Deliver a webhook; a failure is due again by itself."""
    webhooks.deliver(cloud.engine, cloud.clock, row)


def claim_pictures(cloud: Cloud, most: int) -> list[Any]:
    """Return pictures that reviews wait for, of poles that can be pulled."""
    now_ms = cloud.clock()
    w = wanted_pictures.c
    with writing(cloud.engine) as connection:
        due = connection.execute(
            select(wanted_pictures, devices.c.snapshot_url, devices.c.snapshot_token)
            .join(devices, devices.c.device_id == w.device_id)
            .where(w.due_ms <= now_ms, devices.c.snapshot_url.is_not(None))
            .order_by(w.due_ms)
            .limit(most)
            .with_for_update(skip_locked=True, of=wanted_pictures)
        ).all()
        for row in due:
            wait_ms = min(PICTURE_LONGEST_WAIT_MS, 10_000 * 2 ** min(row.attempts, 10))
            connection.execute(
                update(wanted_pictures)
                .where(w.site_id == row.site_id, w.sha256 == row.sha256)
                .values(attempts=row.attempts + 1, due_ms=now_ms + wait_ms)
            )
    return list(due)


def fetch_picture(cloud: Cloud, row: Any) -> None:
    """Pull one evidence picture; a failure is due again later, and the pole's sync is asked for it too."""
    try:
        body = pulls.picture(
            row.snapshot_url, row.snapshot_token or "", row.sha256, cloud.settings.poles.pull_timeout_s
        )
        with writing(cloud.engine) as connection:
            evidence.store(connection, row.site_id, row.device_id, row.sha256, body, cloud.clock())
    except (pulls.PullFailed, Problem) as exc:
        log.warning("picture not pulled device=%s: %s", row.device_id, exc)
