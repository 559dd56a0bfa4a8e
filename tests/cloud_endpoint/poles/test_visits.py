"""Visits do not depend on the order in which their events arrive, nor on how often."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cloud_endpoint.base.clock import to_ms
from cloud_endpoint.poles.visits import Visit, fold
from edged.wire import DriveCause, DriveIn, DriveOut, Reading

T0 = datetime(2026, 3, 1, 8, tzinfo=UTC)


def at(seconds: int) -> datetime:
    return T0 + timedelta(seconds=seconds)


def common(number: int, seconds: int) -> dict[str, object]:
    return {
        "event_id": f"event-{number:04}",
        "sequence": number + 1,
        "observed_at": at(seconds),
        "clock_synced": True,
        "berth_no": "1001",
        "visit_id": "visit-0001",
    }


def reading(number: int, seconds: int, plate: str) -> Reading:
    return Reading.model_validate(
        common(number, seconds)
        | {
            "plate": plate,
            "plate_kind": "small_car",
            "characters": (0.99,) * 7,
            "confidence": 0.99,
            "accepted": True,
            "evidence_sha256": None,
            "captured_at": at(seconds),
            "model_version": "m",
        }
    )


EVENTS = [
    DriveIn.model_validate(common(0, 0) | {"cause": DriveCause.SENSOR}),
    reading(1, 3, "京A12346"),
    reading(2, 60, "京A12345"),
    reading(3, 90, "京A12345"),
    DriveOut.model_validate(common(4, 600) | {"cause": DriveCause.SENSOR}),
]


def folded(events: list[DriveIn | DriveOut | Reading]) -> Visit:
    visit = Visit(visit_id="visit-0001", berth_id="b", device_id="d", seen_ms=to_ms(events[0].observed_at))
    for event in events:
        captured = event.captured_at if isinstance(event, Reading) else event.observed_at
        visit = fold(visit, event, to_ms(event.observed_at), to_ms(captured))
    return visit


@given(st.permutations(EVENTS), st.lists(st.sampled_from(EVENTS), max_size=4))
def test_any_order_and_any_repetition_give_the_same_visit(
    events: list[DriveIn | DriveOut | Reading], again: list[DriveIn | DriveOut | Reading]
) -> None:
    assert folded([*events, *again]) == folded(list(EVENTS))


def test_the_latest_picture_counts_and_the_drive_in_says_when() -> None:
    visit = folded(list(reversed(EVENTS)))
    assert visit.plate == "京A12345"
    assert visit.captured_ms == to_ms(at(90))
    assert visit.seen_ms == visit.started_ms == to_ms(T0)
    assert visit.ended_ms == to_ms(at(600))
