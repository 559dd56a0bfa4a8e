"""How the berths stand, for those who ask: heartbeat, snapshots, the technician."""

import threading
from collections.abc import Iterable

from edged.domain.berth import Berth, Phase
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
    """Thread-safe; written by the berths' worker only."""

    def __init__(self, berth_nos: Iterable[str], out_of_service: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._statuses = {no: BerthStatus(berth_no=no, state=BerthState.UNKNOWN) for no in berth_nos}
        for no in out_of_service:
            self._statuses[no] = BerthStatus(berth_no=no, state=BerthState.OUT_OF_SERVICE)

    def put(self, berth: Berth) -> None:
        status = BerthStatus(berth_no=berth.berth_no, state=state_of(berth), visit_id=berth.visit_id)
        with self._lock:
            self._statuses[berth.berth_no] = status

    def get(self, berth_no: str) -> BerthStatus | None:
        with self._lock:
            return self._statuses.get(berth_no)

    def all(self) -> list[BerthStatus]:
        with self._lock:
            return list(self._statuses.values())
