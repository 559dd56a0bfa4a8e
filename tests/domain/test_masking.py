"""No plate is readable in a log or in a command's output, however somebody wrote it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.masking import mask, mask_in
from edged.domain.plate import GRAMMAR, PlateKind, normalise

GAPS = ("", " ", "·", "•", "・", ".", "-", "_", " - ", "\u3000")
FULL_WIDTH = {code - 0xFEE0: code for code in range(0xFF01, 0xFF5F)}

plates = st.sampled_from(PlateKind).flatmap(lambda kind: st.from_regex(GRAMMAR[kind], fullmatch=True))


@st.composite
def writings(draw: st.DrawFn) -> tuple[str, str]:
    """Return a plate and a way of writing it: gaps, case, full width."""
    plate = draw(plates)
    may_gap = range(1, len(plate)) if any(character > "z" for character in plate) else (2,)
    written = plate[0]
    for place in range(1, len(plate)):
        written += (draw(st.sampled_from(GAPS)) if place in may_gap else "") + plate[place]
    changed = "".join(
        draw(st.sampled_from((character, character.lower(), character.translate(FULL_WIDTH))))
        for character in written
    )
    return plate, changed


@given(
    writings(),
    st.sampled_from(("", "plate=", "order '", "车牌", "(")),
    st.sampled_from(("", "'", " 已缴费", ")")),
)
def test_a_plate_is_masked_however_it_is_written(writing: tuple[str, str], before: str, after: str) -> None:
    plate, written = writing
    assert mask_in(before + written + after) == before + mask(plate) + after


@given(writings())
def test_a_plate_is_hidden_within_a_sentence(writing: tuple[str, str]) -> None:
    plate, written = writing
    shown = mask_in(f"berth 1001 got {written} 12 s ago, then {written}")
    assert normalise(plate) not in normalise(shown)


@given(st.text(alphabet="京A12345使WJ领 ·ａ１x", max_size=40))
def test_masking_twice_changes_nothing(text: str) -> None:
    assert mask_in(mask_in(text)) == mask_in(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("order 京A12345 refused", "order 京A·**345 refused"),
        ("plate='京A·D12345'", "plate='京A·***345'"),
        ("京A 12345 in berth 1001", "京A·**345 in berth 1001"),
        ("京a12345, 京Ａ１２３４５", "京A·**345, 京A·**345"),
        ("粤Z1234港 and 沪A1234挂", "粤Z·**34港 and 沪A·**34挂"),
        ("使123456, 224578使", "使1·**456, 22·**78使"),
        ("WJ京1234X, WJ12345", "WJ·***34X, WJ·**345"),
        ("KA12345, ka 12345", "KA·**345, KA·**345"),
        ("one character was not read: 京A1234", "one character was not read: 京A·*234"),
    ],
)
def test_what_stays_readable_of_a_plate(text: str, shown: str) -> None:
    assert mask_in(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "berth 1001 of pole-1",
        "visit 3fab12345c0d4e5f9a7be1f7f0e8c0a4",
        "GET http://10.0.1.12:8080/v1/berths 200 in 1234 ms",
        "2026-11-28T03:00:12Z /dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0",
        "the first character must be a province such as 京",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert mask_in(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [("京A12345", "京A·**345"), ("浙AD12345", "浙A·***345"), ("京A1", "***"), ("", "")],
)
def test_a_masked_plate_hides_the_middle(text: str, masked: str) -> None:
    assert mask(text) == masked
