"""Candidate berths tell where one may pay, and nothing about who stands where."""

import random

from hypothesis import given
from hypothesis import strategies as st

from cloud_endpoint.candidates import Kerbside, choose, distance_m


@st.composite
def kerbs(draw: st.DrawFn) -> list[Kerbside]:
    number = draw(st.integers(0, 12))
    return [
        Kerbside(
            berth_id=f"b{i}",
            berth_no=str(1000 + i),
            zone_id="z",
            kerb_order=i,
            distance_m=draw(st.floats(0, 100)),
            wanted=draw(st.booleans()),
        )
        for i in range(number)
    ]


@given(kerbs(), st.integers())
def test_the_answer_has_five_berths_where_there_are_five_and_is_in_kerb_order(
    kerb: list[Kerbside], seed: int
) -> None:
    chosen = choose(kerb, random.Random(seed))
    assert len(chosen) == min(5, len(kerb))
    assert [b.kerb_order for b in chosen] == sorted(b.kerb_order for b in chosen)


@given(kerbs(), st.integers())
def test_berths_with_an_unheld_vehicle_come_before_padding(kerb: list[Kerbside], seed: int) -> None:
    chosen = choose(kerb, random.Random(seed))
    left_out = [b for b in kerb if b not in chosen]
    if any(b.wanted for b in left_out):
        assert all(b.wanted for b in chosen)


@given(kerbs(), st.integers())
def test_among_padding_the_nearest_come_first(kerb: list[Kerbside], seed: int) -> None:
    chosen = choose(kerb, random.Random(seed))
    padding = [b.distance_m for b in chosen if not b.wanted]
    others = [b.distance_m for b in kerb if b not in chosen and not b.wanted]
    if padding and others:
        assert max(padding) <= min(others)


def test_a_hundredth_of_a_degree_north_is_1113_metres() -> None:
    assert round(distance_m(31.0, 121.0, 31.01, 121.0)) == 1113
    assert round(distance_m(60.0, 20.0, 60.0, 20.01)) == 557
