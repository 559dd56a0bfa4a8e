import cv2
import framing
import numpy as np
from degrade import Shot, compressed, placed
from plate_art import Glyphs, Plate, draw_plate
from reader_data import BLANK, is_validation, slots_of, synthetic_sample


def _quad(left: float, top: float, width: float, height: float) -> np.ndarray:
    right, bottom = left + width, top + height
    return np.asarray([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def test_widening_moves_each_side_by_its_share() -> None:
    wide = framing.widened(_quad(100, 50, 200, 60), 0.02, 0.1)
    assert np.allclose(wide, _quad(96, 44, 208, 72))


def test_a_plate_cut_by_its_corners_is_the_plate_cut_out_of_the_picture() -> None:
    rng = np.random.default_rng(1)
    plate = cv2.GaussianBlur(rng.integers(0, 256, (64, 256, 3)).astype(np.uint8), (0, 0), 4)
    street = np.zeros((200, 400, 3), np.uint8)
    street[40:104, 60:316] = plate
    by_corners = framing.rectified(street, _quad(60, 40, 256, 64))
    assert np.abs(by_corners.astype(int) - framing.windowed(plate).astype(int)).max() <= 2


def test_two_rows_are_laid_side_by_side() -> None:
    plate = np.zeros((220, 440, 3), np.uint8)
    plate[15:75, 110:330] = 80
    plate[90:200, 27:412] = 200
    window = framing.windowed(plate, rows=2)
    assert window.shape == (framing.HEIGHT, framing.WIDTH, 3)
    assert set(np.unique(window[:, : framing.UPPER_WIDTH])) >= {80}
    assert (window[:, framing.UPPER_WIDTH + 6 : -6].max(axis=0) == 200).all()
    assert not (window[:, : framing.UPPER_WIDTH] == 200).any()


def test_a_placed_plate_lies_within_its_picture(rng: np.random.Generator) -> None:
    flat = np.full((70, 220, 3), 255, np.uint8)
    for _ in range(100):
        shot = placed(flat, float(rng.uniform(24, 160)), rng)
        assert isinstance(shot, Shot)
        height, width = shot.picture.shape[:2]
        assert (shot.quad >= 0).all()
        assert (shot.quad <= (width, height)).all()


def test_jpeg_keeps_size_and_loses_detail(rng: np.random.Generator) -> None:
    picture = rng.integers(0, 256, (32, 100, 3)).astype(np.uint8)
    worse = compressed(picture, 20)
    assert worse.shape == picture.shape
    assert not np.array_equal(worse, picture)


def test_samples_are_windows_with_a_text_of_known_labels(glyphs: Glyphs, rng: np.random.Generator) -> None:
    for _ in range(60):
        sample = synthetic_sample(glyphs, rng)
        assert sample.window.shape == (framing.HEIGHT, framing.WIDTH, 3)
        assert len(slots_of(sample.text)) == 8
        assert (sample.kind is None) == (sample.text == "")


def test_short_texts_end_in_blanks() -> None:
    assert slots_of("京A12345")[-1] == BLANK
    assert BLANK not in slots_of("京AD12345")


def test_names_beginning_0_to_3_are_kept_for_validation() -> None:
    assert [is_validation(name) for name in ("0a.jpg", "3f.jpg", "4a.jpg", "fe.jpg")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_plate_is_read_the_same_way_whatever_its_rows(glyphs: Glyphs, rng: np.random.Generator) -> None:
    plate = Plate(text="京A12345", kind="large_car", rows=2, colour="yellow", layout="double")
    flat = draw_plate(plate, rng, glyphs)
    whole = _quad(0, 0, flat.shape[1], flat.shape[0])
    apart = framing.windowed(flat, 2).astype(int) - framing.rectified(flat, whole, 2).astype(int)
    assert np.abs(apart).mean() < 12
