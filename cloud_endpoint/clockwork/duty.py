"""A duty of the clockwork: what is due, how long it is leased, how it is done, and how many slots it has.

A piece of work is leased by moving its due time on. It is due again by itself when the work fails or the
process dies, so nothing is kept in memory that another process would need.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from cloud_endpoint.clockwork.slots import Slots
from cloud_endpoint.database.service import Service, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
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
    claim: Callable[[Service, Slots], list[Claimed]]
    act: Callable[[Service, Any], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """A claim of rows of a table; call it with the service and the duty's slots.

    `due(work, most, passed_over)` returns locked rows, earliest first, without those whose
    column `owner` is passed over. `lease` moves a row's due time on, or returns False when there is nothing
    to do for it any more.
    """

    due: Callable[[Work, int, Collection[str]], Sequence[Any]]
    owner: str
    peer: Callable[[Any], str]
    lease: Callable[[Work, Any], bool]

    def __call__(self, service: Service, slots: Slots) -> list[Claimed]:
        """Lease no more than can be begun at once: a lease that waits in line would run out.

        Rows of a peer that has its share stay due, and later rows are taken instead.
        """
        claimed: list[Claimed] = []
        passed_over: set[str] = set()
        try:
            with service.writing() as work:
                while most := slots.free:
                    rows = self.due(work, most, passed_over)
                    for row in rows:
                        piece = Claimed(peer=self.peer(row), row=row)
                        if not slots.take(piece.peer):
                            passed_over.add(getattr(row, self.owner))
                            continue
                        claimed.append(piece)
                        if not self.lease(work, row):
                            slots.give_back(claimed.pop().peer)
                    if len(rows) < most:
                        break
        except BaseException:
            for piece in claimed:  # rolled back: nothing is leased
                slots.give_back(piece.peer)
            raise
        return claimed
