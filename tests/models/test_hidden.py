"""Plates of which a character is not to be seen: picture and text lack the same one."""

import cv2
import numpy as np
import pytest
from degrade import Shot
from hidden import covered, cut_short
from plate_art import cells, size_mm
from reader_data import BLANK, slots_of


def shot(layout: str) -> Shot:
    """A plate of noise, twice as large as life in pixels: any change to it shows."""
    width, height = size_mm(layout)
    rng = np.random.default_rng(5)
    picture = rng.integers(0, 256, (height + 40, width + 40, 3)).astype(np.uint8)
    corners = np.asarray([[0, 0], [width, 0], [width, height], [0, height]], np.float32) + 20
    return Shot(picture=picture, quad=corners)


@pytest.mark.parametrize(
    ("layout", "text"), [("single", "京A12345"), ("long", "京AD12345"), ("double", "京A1234挂")]
)
def test_the_character_that_is_covered_is_the_one_that_the_text_lacks(layout: str, text: str) -> None:
    rng = np.random.default_rng(1)
    boxes, _ = cells(layout, len(text), rng)
    for _ in range(60):
        whole = shot(layout)
        part, left = covered(whole, text, layout, rng)
        changed = np.abs(part.picture.astype(int) - whole.picture).mean(axis=2) > 4
        assert len(left) == len(text)
        for i, box in enumerate(boxes):
            x, y = int(box.x) + 20, int(box.y) + 20
            share = changed[y : y + int(box.height), x : x + int(box.width)].mean()
            assert share > 0.4 if left[i] == " " else share < 0.4, (left, i, share)


@pytest.mark.parametrize(
    ("layout", "text"), [("single", "京A12345"), ("long", "京AD12345"), ("double", "京A1234挂")]
)
def test_a_plate_cut_short_lacks_its_first_or_its_last_character(layout: str, text: str) -> None:
    rng = np.random.default_rng(2)
    first = 2 if layout == "double" else 0
    seen = set()
    for _ in range(40):
        window, left = cut_short(shot(layout), text, layout, rng)
        assert window.shape == (32, 128, 3)
        seen.add(left)
    assert seen == {text[:-1], text[:first] + " " + text[first + 1 :]}


def test_the_slot_of_a_character_that_is_not_to_be_seen_is_blank() -> None:
    slots = slots_of("京A 2345")
    assert [i for i, slot in enumerate(slots) if slot == BLANK] == [2, 7]


def test_what_is_covered_stays_covered_at_any_angle() -> None:
    rng = np.random.default_rng(3)
    flat = shot("single")
    turn = cv2.getRotationMatrix2D((240, 90), 20, 0.6)
    size = (flat.picture.shape[1], flat.picture.shape[0])
    turned = Shot(
        picture=np.asarray(cv2.warpAffine(flat.picture, turn, size), np.uint8),
        quad=np.asarray(cv2.transform(flat.quad[None], turn)[0], np.float32),
    )
    part, text = covered(turned, "京A12345", "single", rng)
    y, x = np.nonzero(np.abs(part.picture.astype(int) - turned.picture).mean(axis=2) > 4)
    back = cv2.invertAffineTransform(turn)
    place = cv2.transform(np.asarray([[[x.mean(), y.mean()]]], np.float64), back)[0, 0] - 20
    box = cells("single", 7, rng)[0][text.index(" ")]
    assert abs(place[0] - box.x - box.width / 2) < box.width
