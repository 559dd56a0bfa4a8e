"""Slot distributions to readings: nothing here looks at a picture."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.plate import PlateKind
from edged.domain.reading import PlateRead, Quad, SlotProbabilities, decide, doubted, fuse, fuse_burst

LABELS = (*"京沪皖ABDO", *"0123456789", "警", "")
KINDS = {PlateKind.SMALL_CAR: 0.9, PlateKind.POLICE: 0.05}


def sure_of(text: str, confidence: float = 0.99, slots: int = 8) -> tuple[tuple[float, ...], ...]:
    """Slots that say `text` with that confidence, the rest spread evenly."""
    wanted = [*text, *[""] * (slots - len(text))]
    rest = (1 - confidence) / (len(LABELS) - 1)
    return tuple(tuple(confidence if label == char else rest for label in LABELS) for char in wanted)


def probabilities(
    text: str, confidence: float = 0.99, kinds: dict[PlateKind, float] = KINDS
) -> SlotProbabilities:
    return SlotProbabilities(slots=sure_of(text, confidence), kinds=kinds)


def read_at(x: float, y: float, text: str, *, sharpness: float = 1.0, confidence: float = 0.99) -> PlateRead:
    corners: Quad = ((x, y), (x + 100, y), (x + 100, y + 32), (x, y + 32))
    found = probabilities(text, confidence)
    return PlateRead(
        reading=decide(found, labels=LABELS, accept_from=0.9),
        corners=corners,
        probabilities=found,
        sharpness=sharpness,
    )


def test_an_authority_letter_o_is_read_but_left_to_people() -> None:
    reading = decide(probabilities("沪O71603"), labels=LABELS, accept_from=0.5)
    assert reading.text == "沪O71603"
    assert not reading.accepted
    assert decide(probabilities("沪D71603"), labels=LABELS, accept_from=0.5).accepted


def test_the_text_is_the_likeliest_label_of_each_slot() -> None:
    reading = decide(probabilities("京A12345"), labels=LABELS, accept_from=0.9)
    assert reading.text == "京A12345"
    assert reading.kind is PlateKind.SMALL_CAR
    assert reading.accepted
    assert len(reading.characters) == 7
    assert reading.confidence == pytest.approx(0.99)


def test_one_weak_character_decides_the_confidence() -> None:
    slots = list(sure_of("京A12345"))
    slots[3] = sure_of("2", 0.6, slots=1)[0]
    reading = decide(SlotProbabilities(slots=tuple(slots), kinds=KINDS), labels=LABELS, accept_from=0.9)
    assert reading.text == "京A12345"
    assert reading.confidence == pytest.approx(0.6)
    assert not reading.accepted


def test_an_unsure_empty_slot_counts_as_a_weak_character() -> None:
    slots = list(sure_of("京A12345"))
    slots[7] = sure_of("", 0.55, slots=1)[0]
    reading = decide(SlotProbabilities(slots=tuple(slots), kinds=KINDS), labels=LABELS, accept_from=0.9)
    assert len(reading.characters) == 7
    assert reading.confidence == pytest.approx(0.55)


def test_a_text_that_no_grammar_allows_is_never_accepted_and_never_changed() -> None:
    reading = decide(probabilities("A京12345"), labels=LABELS, accept_from=0.5)
    assert reading.text == "A京12345"
    assert not reading.accepted


def test_a_character_that_is_not_to_be_seen_is_guessed_and_never_accepted() -> None:
    hidden = tuple({"": 0.6, "7": 0.3}.get(label, 0.1 / (len(LABELS) - 2)) for label in LABELS)
    slots = (*sure_of("京A12", slots=4), hidden, *sure_of("45", slots=2), *sure_of("", slots=1))
    reading = decide(SlotProbabilities(slots=slots, kinds=KINDS), labels=LABELS, accept_from=0.2)
    assert reading.text == "京A12745"
    assert reading.characters[4] == reading.confidence == pytest.approx(0.3)
    assert not reading.accepted


def test_the_grammar_chooses_among_kinds() -> None:
    reading = decide(probabilities("京A0123警"), labels=LABELS, accept_from=0.9)
    assert reading.kind is PlateKind.POLICE


def test_what_is_probably_no_plate_is_not_accepted() -> None:
    reading = decide(
        probabilities("京A12345", kinds={PlateKind.SMALL_CAR: 0.3}), labels=LABELS, accept_from=0.5
    )
    assert not reading.accepted


def test_nothing_read_is_an_empty_text_not_accepted() -> None:
    reading = decide(probabilities(""), labels=LABELS, accept_from=0.1)
    assert (reading.text, reading.characters, reading.accepted) == ("", (), False)


def distributions(size: int) -> st.SearchStrategy[tuple[float, ...]]:
    raw = st.lists(st.floats(0.001, 1.0), min_size=size, max_size=size)
    return raw.map(lambda values: tuple(v / math.fsum(values) for v in values))


@st.composite
def bursts(draw: st.DrawFn) -> tuple[list[SlotProbabilities], list[float]]:
    count = draw(st.integers(1, 5))
    frames = [
        SlotProbabilities(
            slots=tuple(draw(distributions(4)) for _ in range(3)),
            kinds={PlateKind.SMALL_CAR: draw(st.floats(0, 1))},
        )
        for _ in range(count)
    ]
    return frames, [draw(st.floats(0, 50)) for _ in range(count)]


@given(bursts())
def test_fused_slots_are_distributions(burst: tuple[list[SlotProbabilities], list[float]]) -> None:
    fused = fuse(*burst)
    for slot in fused.slots:
        assert math.fsum(slot) == pytest.approx(1)
        assert all(0 <= p <= 1 for p in slot)
    assert 0 <= math.fsum(fused.kinds.values()) <= 1 + 1e-9


@given(bursts(), st.randoms())
def test_the_order_of_frames_does_not_matter(
    burst: tuple[list[SlotProbabilities], list[float]], random: Any
) -> None:
    frames, sharpness = burst
    order = list(range(len(frames)))
    random.shuffle(order)
    shuffled = fuse([frames[i] for i in order], [sharpness[i] for i in order])
    for left, right in zip(fuse(frames, sharpness).slots, shuffled.slots, strict=True):
        assert left == pytest.approx(right)


@given(distributions(5), st.floats(0.01, 50))
def test_one_frame_fuses_to_itself(slot: tuple[float, ...], sharpness: float) -> None:
    frame = SlotProbabilities(slots=(slot,), kinds={})
    assert fuse([frame], [sharpness]).slots[0] == pytest.approx(slot)


def test_agreeing_frames_are_surer_than_one() -> None:
    frames = [probabilities("京A12345", 0.8)] * 5
    reading = decide(fuse(frames, [1.0] * 5), labels=LABELS, accept_from=0.9)
    assert reading.confidence > 0.95


def test_frames_that_are_wholly_dependent_count_as_one() -> None:
    frames = [probabilities("京A12345", 0.8)] * 5
    fused = fuse(frames, [1.0] * 5, dependence=1.0)
    assert decide(fused, labels=LABELS, accept_from=0.9).confidence == pytest.approx(0.8)


def test_a_sharp_frame_outweighs_a_blurred_one() -> None:
    frames = [probabilities("京A12345", 0.7), probabilities("京A12346", 0.7)]
    assert decide(fuse(frames, [5.0, 1.0]), labels=LABELS, accept_from=0.9).text == "京A12345"
    assert decide(fuse(frames, [1.0, 5.0]), labels=LABELS, accept_from=0.9).text == "京A12346"


def test_no_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="no frames"):
        fuse([], [])


def test_a_burst_gives_each_physical_plate_once() -> None:
    frames = [
        [read_at(10, 10, "京A12345"), read_at(400, 200, "沪B00001")],
        [read_at(14, 12, "京A12345")],
        [read_at(402, 199, "沪B00001"), read_at(9, 9, "京A12345")],
    ]
    fused = fuse_burst(frames, labels=LABELS, accept_from=0.9)
    assert [read.reading.text for read in fused] == ["京A12345", "沪B00001"]


def test_a_plate_misread_in_one_frame_stays_one_plate() -> None:
    frames = [
        [read_at(0, 0, "京A12345")],
        [read_at(1, 0, "京A12346", confidence=0.5)],
        [read_at(0, 1, "京A12345")],
    ]
    (read,) = fuse_burst(frames, labels=LABELS, accept_from=0.9)
    assert read.reading.text == "京A12345"


def test_a_burst_keeps_the_corners_of_its_sharpest_frame() -> None:
    frames = [[read_at(0, 0, "京A12345", sharpness=1)], [read_at(3, 0, "京A12345", sharpness=4)]]
    (read,) = fuse_burst(frames, labels=LABELS, accept_from=0.9)
    assert read.corners[0] == (3, 0)


def test_a_burst_without_plates_is_empty() -> None:
    assert fuse_burst([[], []], labels=LABELS, accept_from=0.9) == []


def test_a_plate_that_one_frame_cuts_off_is_never_accepted() -> None:
    whole = read_at(0, 0, "京A12345")
    cut = replace(whole, reading=replace(whole.reading, accepted=False), cut_off=True)
    (fused,) = fuse_burst([[whole], [cut], [whole]], labels=LABELS, accept_from=0.9)
    assert fused.reading.text == "京A12345"
    assert fused.cut_off
    assert not fused.reading.accepted
    (fused,) = fuse_burst([[whole], [whole]], labels=LABELS, accept_from=0.9)
    assert fused.reading.accepted


def test_seven_characters_of_a_green_plate_are_not_accepted_as_a_blue_ones_text() -> None:
    green = {PlateKind.SMALL_NEW_ENERGY: 0.95, PlateKind.SMALL_CAR: 0.04}
    reading = decide(probabilities("京AD1234", kinds=green), labels=LABELS, accept_from=0.9)
    assert reading.text == "京AD1234"
    assert not reading.accepted
    assert decide(probabilities("京AD1234"), labels=LABELS, accept_from=0.9).accepted


def test_a_narrow_plate_is_less_sure_than_its_enlarged_window_looks() -> None:
    seen = probabilities("京A12345")
    widths_px = (40, 60, 80, 300)
    sure = [decide(doubted(seen, seen, plate_px=px), labels=LABELS, accept_from=0.9) for px in widths_px]
    assert [reading.text for reading in sure] == ["京A12345"] * 4
    assert sure[0].confidence < sure[1].confidence < sure[2].confidence == pytest.approx(sure[3].confidence)


def test_what_two_readers_see_differently_is_doubted_and_the_rest_is_not() -> None:
    seen, other = probabilities("京A12345"), probabilities("京B12345")
    doubtful = decide(doubted(seen, other, plate_px=120), labels=LABELS, accept_from=0.5)
    plain = decide(seen, labels=LABELS, accept_from=0.5)
    assert doubtful.text == plain.text
    assert doubtful.characters[1] < plain.characters[1]
    assert doubtful.characters[2:] == pytest.approx(plain.characters[2:])


def test_a_plate_under_40_px_is_never_accepted_in_a_burst() -> None:
    read = read_at(0, 0, "京A12345")
    narrow = replace(read, corners=((0, 0), (38, 0), (38, 12), (0, 12)))
    (fused,) = fuse_burst([[narrow], [narrow]], labels=LABELS, accept_from=0.9)
    assert fused.reading.text == "京A12345"
    assert not fused.reading.accepted


@given(st.lists(st.floats(0.001, 1.0), min_size=3, max_size=6), st.floats(1.0, 400.0))
def test_doubt_never_changes_what_is_read(weights: list[float], plate_px: float) -> None:
    slot = tuple(weight / sum(weights) for weight in weights)
    other = tuple(reversed(slot))
    seen = SlotProbabilities(slots=(slot,), kinds=KINDS)
    less = doubted(seen, SlotProbabilities(slots=(other,), kinds=KINDS), plate_px=plate_px).slots[0]
    assert less[slot.index(max(slot))] == pytest.approx(max(less))
    assert sum(less) == pytest.approx(1.0)
    assert max(less) <= max(slot) + 1e-9
