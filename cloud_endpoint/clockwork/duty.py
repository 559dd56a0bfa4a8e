"""A duty of the clockwork: what is due, how long it is leased, how it is done, and how many slots it has.

A piece of work is leased by moving its due time on. It is due again by itself when the work fails or the
process dies, so nothing is kept in memory that another process would need.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from cloud_endpoint.base.service import Cloud
from cloud_endpoint.clockwork.slots import Slots
from cloud_endpoint.database.engine import writing


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One claimed piece of work; its slot is taken."""

    peer: str
    row: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """One kind of work, with slots of its own; `every_s` 0: it is claimed whenever the clockwork wakes."""

    name: str
    slots: int
    slots_per_peer: int
    every_s: float
    claim: Callable[[Cloud, Slots], list[Work]]
    act: Callable[[Cloud, Any], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """A claim of rows of a table; call it with the service and the duty's slots.

    `due(connection, now_ms, most, passed_over)` returns locked rows, earliest first, without those whose
    column `owner` is passed over. `lease` moves a row's due time on, or returns False when there is nothing
    to do for it any more.
    """

    due: Callable[[Connection, int, int, Collection[str]], Sequence[Any]]
    owner: str
    peer: Callable[[Any], str]
    lease: Callable[[Connection, Cloud, Any, int], bool]

    def __call__(self, cloud: Cloud, slots: Slots) -> list[Work]:
        """Lease no more than can be begun at once: a lease that waits in line would run out.

        Rows of a peer that has its share stay due, and later rows are taken instead.
        """
        now_ms = cloud.clock()
        claimed: list[Work] = []
        passed_over: set[str] = set()
        try:
            with writing(cloud.engine) as connection:
                while most := slots.free:
                    rows = self.due(connection, now_ms, most, passed_over)
                    for row in rows:
                        work = Work(peer=self.peer(row), row=row)
                        if not slots.take(work.peer):
                            passed_over.add(getattr(row, self.owner))
                            continue
                        claimed.append(work)
                        if not self.lease(connection, cloud, row, now_ms):
                            slots.give_back(claimed.pop().peer)
                    if len(rows) < most:
                        break
        except BaseException:
            for work in claimed:  # rolled back: nothing is leased
                slots.give_back(work.peer)
            raise
        return claimed
