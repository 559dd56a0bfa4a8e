"""Stamps, readings and stores for the store's tests."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edged.domain.plate import PlateKind
from edged.domain.reading import PlateReading
from edged.domain.timekeeping import Stamp
from edged.settings import StoreSettings
from edged.store import NewReading, Store
from edged.wire import EventVerdict, Verdict

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def at(seconds: float = 0.0, *, synced: bool = True, boot: str = "boot-1") -> Stamp:
    return Stamp(
        utc=START + timedelta(seconds=seconds), clock_synced=synced, boot_id=boot, monotonic_s=100.0 + seconds
    )


def days(count: float) -> Stamp:
    return at(count * 86400)


def plate(text: str, characters: tuple[float, ...] = (0.99,) * 6 + (0.95,)) -> PlateReading:
    kind = PlateKind.SMALL_CAR
    return PlateReading(text=text, kind=kind, characters=characters, confidence=0.95, accepted=True)


def reading(visit_id: str, seconds: float = 1.0, **changes: object) -> NewReading:
    values: dict[str, object] = {
        "visit_id": visit_id,
        "berth_no": "1001",
        "stamp": at(seconds + 1),
        "reading": plate("京A12345"),
        "captured": at(seconds),
        "model_version": "reader-1",
        "evidence_jpeg": f"picture of {visit_id} {seconds}".encode(),
    }
    return NewReading(**{**values, **changes})  # type: ignore[arg-type]


def opened(directory: Path, **changes: int) -> Store:
    return Store.open(replace(StoreSettings(directory=directory), **changes))


def deliver_all(store: Store, now: Stamp | None = None) -> list[str]:
    """Let the cloud accept everything that waits; return the event ids."""
    delivered: list[str] = []
    while events := store.pending(1000, now or at()):
        store.apply_verdicts([EventVerdict(event_id=e.event_id, verdict=Verdict.ACCEPTED) for e in events])
        delivered += [event.event_id for event in events]
    return delivered
