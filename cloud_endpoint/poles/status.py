"""The state of a pole and of its berths, reported with each sync."""

from collections.abc import Iterable

from sqlalchemy import update

from cloud_endpoint.base.clock import to_ms
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import berths, devices
from cloud_endpoint.poles.event_placement import Watched
from cloud_endpoint.street import outages
from edged.wire import BerthState, SyncRequest

MOST_PROBLEMS = 64  # more than a pole has parts
MOST_LETTERS = 500


def write_status(
    work: Work, site_id: str, device_id: str, request: SyncRequest, watched: Iterable[Watched]
) -> set[str]:
    """Store health, clock and berth states; returns the berths whose state changed."""
    work.connection.execute(
        update(devices)
        .where(devices.c.device_id == device_id)
        .values(
            last_sync_ms=work.now_ms,
            clock_offset_ms=work.now_ms - to_ms(request.sent_at),
            clock_synced=request.clock_synced,
            software_version=_storable(request.software_version)[:64],
            health=request.health.status,
            problems=[
                _storable(problem)[:MOST_LETTERS] for problem in request.health.problems[:MOST_PROBLEMS]
            ],
        )
    )
    own = {item.current_no: item for item in watched if item.current_device_id == device_id}
    touched = set()
    for status in request.berths:
        berth = own.get(status.berth_no)
        if berth is None or berth.state == status.state:
            continue
        if berth.state == BerthState.FAULT and berth.state_ms is not None:
            outages.record_outage(work, site_id, device_id, berth.state_ms, berth_id=berth.berth_id)
        work.connection.execute(
            update(berths)
            .where(berths.c.site_id == site_id, berths.c.berth_id == berth.berth_id)
            .values(state=status.state.value, state_ms=work.now_ms)
        )
        touched.add(berth.berth_id)
    return touched


def _storable(text: str) -> str:
    """Without what no database takes: NUL characters and halves of surrogate pairs."""
    return text.replace("\0", "").encode(errors="replace").decode()
