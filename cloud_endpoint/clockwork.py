"""What happens without anybody asking: due pulls and due orders.

Several processes may run it on one database: a piece of work is claimed by moving its due time on, and
comes back by itself when the claimer dies.
"""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import select, update

from cloud_endpoint import captures, checks, orders, pulls
from cloud_endpoint.database import writing
from cloud_endpoint.errors import DatabaseUnavailable
from cloud_endpoint.service import Cloud
from cloud_endpoint.tables import captures as captures_table
from cloud_endpoint.tables import devices
from cloud_endpoint.tables import orders as orders_table

log = logging.getLogger(__name__)

TICK_S = 0.5
PULLS_AT_ONCE = 32
MOST_PULLS = 3
ORDERS_AT_ONCE = 200
LEASE_MS = 5_000


class Clockwork:
    """Runs in a thread of its own until stopped; `failed` tells why it ended by itself."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clockwork")
        self._free = threading.Semaphore(PULLS_AT_ONCE)
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
        with ThreadPoolExecutor(PULLS_AT_ONCE, thread_name_prefix="pull") as pool:
            while not self._stop.is_set():
                self._cloud.wake.clear()
                try:
                    self._start_pulls(pool)
                    due_orders(self._cloud)
                except DatabaseUnavailable as exc:
                    log.warning("%s; trying again", exc)
                except Exception as exc:
                    log.exception("clockwork failed")
                    self.failed = exc
                    return
                self._cloud.wake.wait(TICK_S)

    def _start_pulls(self, pool: ThreadPoolExecutor) -> None:
        """Claim no more than can be pulled at once: a claim that waits in line would come due again."""
        slots = 0
        while slots < PULLS_AT_ONCE and self._free.acquire(blocking=False):
            slots += 1
        claimed: list[Any] = []
        try:
            claimed = claim_pulls(self._cloud, slots) if slots else []
        finally:
            if slots > len(claimed):
                self._free.release(slots - len(claimed))
        for capture in claimed:
            pool.submit(self._pull, capture)

    def _pull(self, capture: Any) -> None:
        try:
            pull(self._cloud, capture)
        except DatabaseUnavailable as exc:
            log.warning("%s; the capture is due again by itself", exc)
        except Exception as exc:
            log.exception("pull failed")
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
            .where(c.state == "asked", c.due_ms <= now_ms)
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
    with writing(cloud.engine) as connection:
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
    cloud.take_capture(capture, snapshot)


def _pull_later(cloud: Cloud, capture: Any, error: str) -> None:
    attempts = capture.attempts + 1
    # After that it waits for the pole's next sync, which carries it, until it expires.
    wait_ms = 1000 * 2**attempts
    due_ms = cloud.clock() + wait_ms if attempts < MOST_PULLS else capture.expires_ms
    c = captures_table.c
    with writing(cloud.engine) as connection:
        connection.execute(
            update(captures_table)
            .where(c.site_id == capture.site_id, c.request_id == capture.request_id, c.state == "asked")
            .values(due_ms=min(due_ms, capture.expires_ms), error=error[:300])
        )


def due_orders(cloud: Cloud) -> int:
    """Do what the clock demands of orders: expiry, the next look; returns how many were due."""
    now_ms = cloud.clock()
    o = orders_table.c
    open_states = o.state.not_in(("paid", "expired", "cancelled", "review"))
    with writing(cloud.engine) as connection:
        due = connection.execute(
            select(orders_table)
            .where(open_states, o.due_ms <= now_ms)
            .order_by(o.due_ms)
            .limit(ORDERS_AT_ONCE)
            .with_for_update(skip_locked=True)
        ).mappings()
        found = [orders.Order.of(row) for row in due]
        for order in found:
            checks.expire(connection, order, cloud.settings, now_ms)
    return len(found)
