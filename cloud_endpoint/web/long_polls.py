"""Requests that wait until an order is decided: bounded, and one query at a time looks for all of them.

A thousand requests that each ask the database four times a second take all threads of a worker.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from cloud_endpoint.base.errors import DatabaseUnavailable
from cloud_endpoint.base.order_states import UNDECIDED
from cloud_endpoint.base.settings import LimitSettings
from cloud_endpoint.database.service import Service
from cloud_endpoint.ordering import orders
from cloud_endpoint.ordering.order import Order
from cloud_endpoint.web.calls.driver_page import network_of

LOOK_S = 0.25
STEP_S = 1.0  # how often it is noticed that the caller has gone
BUSY_RETRY_S = 5  # for a caller who must not wait here


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """A request that waits for an order, and how to find out that its caller is gone."""

    order: Order
    address: str
    is_gone: Callable[[], Awaitable[bool]]

    @classmethod
    def of(cls, request: Request, order: Order) -> "Waiter":
        """Return the waiter of a request."""
        address = network_of(request.client.host if request.client else "")
        return cls(order=order, address=address, is_gone=request.is_disconnected)

    @property
    def key(self) -> tuple[str, str]:
        """Site and id of the order."""
        return self.order.site_id, self.order.order_id


class LongPolls:
    """The waiting requests of one worker. Only its event loop calls this."""

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._waiting: Counter[tuple[str, ...]] = Counter()
        self._decided: dict[tuple[str, str], asyncio.Event] = {}
        self._looking: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """The number of waiting requests."""
        return self._waiting["worker",]

    async def wait(self, service: Service, waiter: Waiter, wait_s: float) -> bool:
        """Wait until the order is decided, or the time is over; False at once if too many wait already."""
        order, limits = waiter.order, self._limits
        shares: dict[tuple[str, ...], int] = {
            ("order", *waiter.key): limits.long_polls_per_order,
            ("account", order.site_id, order.account_id): limits.long_polls_per_account,
            ("address", waiter.address): limits.long_polls_per_address,
            ("worker",): limits.long_polls_per_worker,
        }
        if any(self._waiting[share] >= most for share, most in shares.items()):
            return False
        self._waiting.update(shares.keys())
        try:
            await self._until_decided(service, waiter, wait_s)
        finally:
            self._waiting -= Counter(shares.keys())  # what is 0 is dropped
            if not self._waiting["order", *waiter.key]:
                self._decided.pop(waiter.key, None)
        return True

    async def _until_decided(self, service: Service, waiter: Waiter, wait_s: float) -> None:
        decided = self._decided.setdefault(waiter.key, asyncio.Event())
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(service))
        until_s = asyncio.get_running_loop().time() + wait_s
        while (left_s := until_s - asyncio.get_running_loop().time()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(decided.wait(), min(STEP_S, left_s))
                return
            if await waiter.is_gone():
                return

    async def _look(self, service: Service) -> None:
        """Wake the requests that wait for an order that is decided, as long as any request waits."""
        try:
            while self._decided:
                await asyncio.sleep(LOOK_S)
                watched = list(self._decided)
                try:
                    open_ones = await run_in_threadpool(_undecided, service, watched)
                except DatabaseUnavailable:
                    open_ones = set()  # each asks for itself, and answers with the problem
                for key in watched:
                    if key not in open_ones and key in self._decided:
                        self._decided.pop(key).set()
        finally:
            for decided in self._decided.values():
                decided.set()
            self._decided.clear()


def _undecided(service: Service, keys: list[tuple[str, str]]) -> set[tuple[str, str]]:
    with service.reading() as work:
        return orders.in_states(work.connection, keys, UNDECIDED)


async def _of_app(request: Request) -> LongPolls:
    polls = request.app.state.long_polls
    assert isinstance(polls, LongPolls)
    return polls


TheseLongPolls = Annotated[LongPolls, Depends(_of_app)]
