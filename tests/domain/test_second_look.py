import pytest

from edged.domain.plate import PlateKind
from edged.domain.reading import PlateReading
from edged.domain.second_look import Look, look


def read(text: str, *, accepted: bool, confidence: float = 0.9) -> PlateReading:
    return PlateReading(
        text=text,
        kind=PlateKind.SMALL_CAR,
        characters=(confidence,) * len(text),
        confidence=confidence,
        accepted=accepted,
    )


SURE = read("京A12345", accepted=True)


@pytest.mark.parametrize(
    ("known", "new", "means"),
    [
        (None, None, Look.REPLACES),
        (None, SURE, Look.REPLACES),
        (SURE, None, Look.CONFIRMS),
        (SURE, read("京A99999", accepted=False), Look.CONFIRMS),
        (SURE, SURE, Look.CONFIRMS),
        (SURE, read("京A12346", accepted=True), Look.CONTRADICTS),
        (SURE, read("京A12399", accepted=True), Look.ANOTHER_CAR),
        (SURE, read("京AD12345", accepted=True), Look.ANOTHER_CAR),
        (read("京A12346", accepted=False), SURE, Look.REPLACES),
        (read("京A12346", accepted=False, confidence=0.5), read("京A1", accepted=False), Look.REPLACES),
        (read("京A12346", accepted=False), read("京A1", accepted=False, confidence=0.5), Look.CONFIRMS),
    ],
)
def test_a_second_look_means(known: PlateReading | None, new: PlateReading | None, means: Look) -> None:
    assert look(known, new) is means
