import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.plate import (
    GRAMMAR,
    PlateError,
    PlateKind,
    differing_positions,
    kinds_of,
    likely_kinds,
    normalise,
    parse_plate,
    surely_another_car,
)

EXAMPLES = [
    ("京A12345", PlateKind.SMALL_CAR),
    ("粤O1234Z", PlateKind.LARGE_CAR),
    ("鲁B1234挂", PlateKind.TRAILER),
    ("苏E88K2学", PlateKind.COACH),
    ("浙AD12345", PlateKind.SMALL_NEW_ENERGY),
    ("沪BK12345", PlateKind.SMALL_NEW_ENERGY),
    ("川A12345F", PlateKind.LARGE_NEW_ENERGY),
    ("冀FB123警", PlateKind.POLICE),
    ("粤Z12K4港", PlateKind.HK_MACAU),
    ("使014578", PlateKind.EMBASSY),
    ("224578使", PlateKind.EMBASSY),
    ("沪12345领", PlateKind.CONSULATE),
    ("沪A1234领", PlateKind.CONSULATE),
    ("新A12345", PlateKind.MOTORCYCLE),
    ("KA12345", PlateKind.MILITARY),
    ("WJ京1234X", PlateKind.ARMED_POLICE),
    ("WJ12345", PlateKind.ARMED_POLICE),
]


@pytest.mark.parametrize(("text", "kind"), EXAMPLES)
def test_every_kind_of_plate_is_in_the_grammar(text: str, kind: PlateKind) -> None:
    assert kind in kinds_of(text)
    assert parse_plate(text) == text


def test_armed_police_is_not_taken_for_military() -> None:
    assert kinds_of("WJ12345") == (PlateKind.ARMED_POLICE,)


@pytest.mark.parametrize(
    "written", ["京a·12345", "京A 12345", "京A-123 45", "京Ａ１２３４５", "  京A•12345 "]
)
def test_ways_of_writing_one_plate_are_one_plate(written: str) -> None:
    assert parse_plate(written) == "京A12345"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("京A1234", "has 6"),
        ("京A123456789", "has 11"),
        ("京A1O345", "digit 0"),
        ("京AI2345", "digit 1"),
        ("AB1234C", "province"),
        ("京A1234567", "has 9"),
        ("京A123456", "new-energy"),
        ("京京12345", "authority letter"),
    ],
)
def test_an_impossible_plate_is_refused_with_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(PlateError, match=says):
        parse_plate(text)


@given(st.sampled_from(list(GRAMMAR)).flatmap(lambda kind: st.from_regex(GRAMMAR[kind], fullmatch=True)))
def test_plates_of_the_grammar_are_fixed_points_of_normalisation(plate: str) -> None:
    assert normalise(plate) == plate
    assert parse_plate(plate) == plate


@given(st.text(max_size=12))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.text(max_size=12))
def test_any_text_is_a_plate_or_refused_with_a_message(text: str) -> None:
    if kinds_of(normalise(text)):
        assert parse_plate(text) == normalise(text)
    else:
        with pytest.raises(PlateError, match=r"\w"):
            parse_plate(text)


def test_plates_of_two_lengths_have_no_differing_positions() -> None:
    assert differing_positions("京A12345", "京AD12345") is None
    assert differing_positions("京A12345", "京A12346") == (6,)
    assert differing_positions("京A12345", "京A12345") == ()


def test_one_differing_character_is_a_misread_before_it_is_another_car() -> None:
    assert not surely_another_car("京A12345", "京A12345")
    assert not surely_another_car("京A12345", "京A12348")
    assert surely_another_car("京A12345", "京A12388")
    assert surely_another_car("京A12345", "京AD12345")


def test_a_two_row_plate_of_a_lorrys_proportions_is_no_motorcycles() -> None:
    kinds = {PlateKind.MOTORCYCLE: 0.7, PlateKind.LARGE_CAR: 0.2, PlateKind.SMALL_CAR: 0.05}
    wide = likely_kinds(kinds, rows=2, aspect=2.0)
    assert max(wide, key=wide.__getitem__) is PlateKind.LARGE_CAR
    assert sum(wide.values()) == pytest.approx(0.95)
    narrow = likely_kinds(kinds, rows=2, aspect=1.5)
    assert max(narrow, key=narrow.__getitem__) is PlateKind.MOTORCYCLE


def test_a_one_row_plate_is_never_a_motorcycles() -> None:
    likely = likely_kinds({PlateKind.MOTORCYCLE: 0.9, PlateKind.SMALL_CAR: 0.1}, rows=1, aspect=3.1)
    assert likely == {PlateKind.SMALL_CAR: pytest.approx(1.0)}
