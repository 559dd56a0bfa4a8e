"""How the berths stand, for those who ask: heartbeat, snapshots, the technician."""

import threading
from collections.abc import Iterable

from edged.domain.berth import Berth, Phase
from edged.settings import BerthSettings
from edged.wire import BerthState, BerthStatus

_STATES = {
    Phase.VACANT: BerthState.VACANT,
    Phase.ARRIVING: BerthState.VACANT,  # not an arrival before it has settled
    Phase.OCCUPIED: BerthState.OCCUPIED,
    Phase.LEAVING: BerthState.OCCUPIED,
    Phase.VACANT_FAULT: BerthState.FAULT,
    Phase.OCCUPIED_FAULT: BerthState.FAULT,
}


def state_of(berth: Berth) -> BerthState:
    """Return what the wire says of a berth; unknown until its sensor has spoken."""
    return BerthState.UNKNOWN if not berth.heard else _STATES[berth.phase]


class Board:
    """Thread-safe. What it shows is committed."""

    def __init__(self, berths: Iterable[BerthSettings]) -> None:
        self._lock = threading.Lock()
        self._statuses = {
            berth.berth_no: BerthStatus(
                berth_no=berth.berth_no,
                state=BerthState.UNKNOWN if berth.in_service else BerthState.OUT_OF_SERVICE,
            )
            for berth in berths
        }
        self._empty: set[str] = set()

    def put(self, berth: Berth) -> None:
        status = BerthStatus(berth_no=berth.berth_no, state=state_of(berth), visit_id=berth.visit_id)
        with self._lock:
            self._statuses[berth.berth_no] = status
            if berth.heard and berth.phase is Phase.VACANT:
                self._empty.add(berth.berth_no)
            else:
                self._empty.discard(berth.berth_no)

    def is_empty(self, berth_no: str) -> bool:
        """Tell whether the sensor reports no vehicle, not even one that has not settled yet."""
        with self._lock:
            return berth_no in self._empty

    def get(self, berth_no: str) -> BerthStatus | None:
        with self._lock:
            return self._statuses.get(berth_no)

    def has_visit(self, visit_id: str) -> bool:
        """Tell whether the vehicle of that visit is still here."""
        return any(status.visit_id == visit_id for status in self.all())

    def all(self) -> list[BerthStatus]:
        with self._lock:
            return list(self._statuses.values())
