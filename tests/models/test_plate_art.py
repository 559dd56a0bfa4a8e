from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from plate_art import (
    ALPHABET,
    AUTHORITIES,
    KINDS,
    PROVINCES,
    Glyphs,
    cells,
    draw_plate,
    sample_plate,
    size_mm,
)

from edged.domain import plate as domain


def test_the_generator_and_the_domain_know_the_same_kinds_and_provinces() -> None:
    assert set(KINDS) == {str(kind) for kind in domain.PlateKind}
    assert set(PROVINCES) == set(domain.PROVINCES)
    assert set(ALPHABET) - set(PROVINCES) - set(AUTHORITIES) - set("0123456789") == set(domain.SPECIAL)


@pytest.mark.parametrize("kind", KINDS)
def test_every_plate_of_a_kind_is_one_the_grammar_allows(kind: str, rng: np.random.Generator) -> None:
    for _ in range(300):
        text = sample_plate(rng, kind).text
        assert kind in domain.kinds_of(text), text


def test_no_province_is_drawn_twice_as_often_as_another(rng: np.random.Generator) -> None:
    plates = [sample_plate(rng) for _ in range(20_000)]
    counts = Counter(plate.text[0] for plate in plates if plate.kind in ("small_car", "large_car"))
    assert set(counts) == set(PROVINCES)
    assert max(counts.values()) < 2 * min(counts.values())


def test_most_serials_have_two_letters_at_most_and_some_have_more(rng: np.random.Generator) -> None:
    serials = [sample_plate(rng, "small_car").text[2:] for _ in range(2000)]
    many = np.mean([sum(char.isalpha() for char in serial) > 2 for serial in serials])
    assert 0.02 < many < 0.2


@pytest.mark.parametrize("layout", ["single", "gap1", "gap3", "gap4", "double", "small"])
def test_seven_characters_stand_inside_the_plate_without_touching(
    layout: str, rng: np.random.Generator
) -> None:
    boxes, _ = cells(layout, 7, rng)
    width, height = size_mm(layout)
    for box in boxes:
        assert box.x >= 0
        assert box.x + box.width <= width
        assert box.y >= 0
        assert box.y + box.height <= height
    for left, right in pairwise(boxes):
        assert left.x + left.width < right.x or left.y + left.height < right.y


def test_the_standards_measures_of_an_ordinary_plate(rng: np.random.Generator) -> None:
    boxes, dot = cells("single", 7, rng)
    assert boxes[0].x == 15.5
    assert boxes[2].x - (boxes[1].x + boxes[1].width) == 34
    assert boxes[-1].x + boxes[-1].width == 440 - 15.5
    assert dot == (15.5 + 45 + 12 + 45 + 17, 70)


def test_eight_characters_fill_a_new_energy_plate(rng: np.random.Generator) -> None:
    boxes, _ = cells("long", 8, rng)
    assert (boxes[0].width, boxes[1].width) == (45, 43)
    assert boxes[2].x - (boxes[1].x + boxes[1].width) == 49
    assert boxes[-1].x + boxes[-1].width == pytest.approx(480 - 15.5)


def test_the_same_seed_draws_the_same_picture(glyphs: Glyphs) -> None:
    pictures = []
    for _ in range(2):
        rng = np.random.default_rng(3)
        pictures.append(draw_plate(sample_plate(rng), rng, glyphs))
    assert np.array_equal(*pictures)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_at_its_size_with_ink_on_it(
    kind: str, glyphs: Glyphs, rng: np.random.Generator
) -> None:
    for _ in range(12):
        plate = sample_plate(rng, kind)
        picture = draw_plate(plate, rng, glyphs)
        assert picture.shape == (*size_mm(plate.layout)[::-1], 3)
        assert picture.astype(float).std(axis=(0, 1)).max() > 20


@pytest.mark.parametrize("drawing", ["a", "b"])
def test_every_character_has_a_glyph_and_no_two_look_the_same(drawing: str, glyphs: Glyphs) -> None:
    masks = {char: glyphs.mask(drawing, "single", char, 45, 90).astype(float) for char in ALPHABET}
    chars = [char for char in ALPHABET if char != "O"]  # drawn as 0, as on real plates
    for i, left in enumerate(chars):
        assert masks[left].max() > 128
        for right in chars[i + 1 :]:
            assert np.abs(masks[left] - masks[right]).mean() > 3, (left, right)
