"""Outages of poles and of the sensors of berths; the first sync after one records it."""

from cloud_endpoint.database.engine import insert
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import outages

SILENT_MS = 5 * 60_000  # a pole that says nothing for so long is offline


def record_outage(work: Work, site_id: str, device_id: str, lost_ms: int, *, berth_id: str = "") -> None:
    """Record an outage that is over; without `berth_id`, the whole pole's. Recorded twice, it counts once."""
    work.connection.execute(
        insert(work.connection, outages)
        .values(
            site_id=site_id, device_id=device_id, berth_id=berth_id, lost_ms=lost_ms, restored_ms=work.now_ms
        )
        .on_conflict_do_nothing()
    )


def record_silence(work: Work, site_id: str, device_id: str, last_sync_ms: int | None) -> None:
    """Record that a pole is back, if it was silent for long."""
    if last_sync_ms is not None and work.now_ms - last_sync_ms >= SILENT_MS:
        record_outage(work, site_id, device_id, last_sync_ms)
