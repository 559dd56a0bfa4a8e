from dataclasses import dataclass

import pytest

from edged.domain.second_look import Look, look


@dataclass(frozen=True)
class Seen:
    plate: str | None
    accepted: bool
    confidence: float = 0.9


SURE = Seen("京A12345", accepted=True)


@pytest.mark.parametrize(
    ("known", "new", "means"),
    [
        (None, Seen(None, accepted=False), Look.REPLACES),
        (Seen(None, accepted=False), SURE, Look.REPLACES),
        (SURE, Seen(None, accepted=False), Look.CONFIRMS),
        (SURE, Seen("京A99999", accepted=False), Look.CONFIRMS),
        (SURE, SURE, Look.CONFIRMS),
        (SURE, Seen("京A12346", accepted=True), Look.CONTRADICTS),
        (SURE, Seen("京A12399", accepted=True), Look.ANOTHER_CAR),
        (SURE, Seen("京AD12345", accepted=True), Look.ANOTHER_CAR),
        (Seen("京A12346", accepted=False), SURE, Look.REPLACES),
        (Seen("京A12346", accepted=False, confidence=0.5), Seen("京A1", accepted=False), Look.REPLACES),
        (Seen("京A12346", accepted=False), Seen("京A1", accepted=False, confidence=0.5), Look.CONFIRMS),
    ],
)
def test_a_second_look_means(known: Seen | None, new: Seen, means: Look) -> None:
    assert look(known, new) is means
