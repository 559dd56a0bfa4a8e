"""Frames to plates, with the committed models."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.demo.plates import draw_plate, usual_kind
from edged.picture import decode_picture
from edged.vision.detector import Candidate, is_sound
from edged.vision.errors import BadFrame, ModelMisreads
from edged.vision.pipeline import PlateVision
from edged.vision.regions import stands_in, surroundings
from edged.vision.runtime import Runtime, available_runtimes

SQUARE = [(100, 100), (500, 100), (500, 400), (100, 400)]


def street(width: int = 640, height: int = 360) -> np.ndarray:
    """Asphalt with grain and two painted lines; no plate anywhere."""
    rng = np.random.default_rng(1)
    frame = rng.normal(100, 8, (height, width, 3)).clip(0, 255).astype(np.uint8)
    cv2.line(frame, (0, height // 2), (width, height // 3), (230, 230, 230), 6)
    cv2.line(frame, (width // 2, 0), (width // 3, height), (230, 230, 230), 6)
    return frame


def test_an_empty_street_gives_no_accepted_plate(vision: PlateVision) -> None:
    assert not any(read.reading.accepted for read in vision.read_frame(street()))
    assert not any(read.reading.accepted for read in vision.read_picture(street(1920, 1080)))


@pytest.mark.parametrize("runtime", available_runtimes())
def test_the_self_test_reads_its_plates_with_each_runtime(runtime: Runtime) -> None:
    vision = PlateVision.load(runtime=runtime)
    vision.self_test()
    assert vision.runtime.startswith(f"{runtime.value} ")
    assert vision.fallback is None


@pytest.mark.parametrize("part", ["_detector", "_refiner", "_quick_reader", "_reader"])
def test_a_model_that_computes_garbage_fails_the_self_test(part: str) -> None:
    """As tflite-runtime 2.14 did on some ARM cores: right shapes, wrong values."""
    vision = PlateVision.load()
    model = getattr(vision, part)._model
    run, rng = model.run, np.random.default_rng(1)
    model.run = lambda pixels: [rng.permuted(output, axis=-1) for output in run(pixels)]
    with pytest.raises(ModelMisreads, match=r"ai-edge-litert [0-9.]+ reads .* stands"):
        vision.self_test()


def cut_out(text: str, width_px: int) -> np.ndarray:
    """A clean plate, `width_px` wide."""
    plate = draw_plate(text, usual_kind(text), np.random.default_rng(3)).image
    height_px = round(plate.shape[0] * width_px / plate.shape[1])
    return cv2.resize(plate, (width_px, height_px), interpolation=cv2.INTER_AREA)


def careful_looks(vision: PlateVision, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often the careful reader is asked about a cut-out."""
    looks = []
    read = vision._reader.read
    monkeypatch.setattr(vision._reader, "read", lambda window: looks.append(window) or read(window))
    vision.read_crop(picture)
    return len(looks)


def test_a_clear_plate_is_read_quickly_and_a_blurred_one_carefully(
    vision: PlateVision, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear = cut_out("浙C65P41", 220)
    assert careful_looks(vision, clear, monkeypatch) == 0
    assert vision.read_crop(clear).reading.text == "浙C65P41"
    assert careful_looks(vision, cv2.GaussianBlur(clear, (0, 0), 6), monkeypatch) > 0


def car(text: str, *, visible: float = 1.0) -> np.ndarray:
    """A dark car with the plate `text`; the picture ends where so much of the plate is visible."""
    frame, plate = street(), cut_out(text, 150)
    frame[120:320, 200:500] = (60, 40, 40)
    height, width = plate.shape[:2]
    frame[230 : 230 + height, 270 : 270 + width] = plate
    frame = cv2.GaussianBlur(frame, (0, 0), 0.7)
    return np.ascontiguousarray(frame[:, : 270 + round(visible * width)] if visible < 1 else frame)


def test_a_plate_cut_off_by_the_pictures_edge_is_never_accepted(vision: PlateVision) -> None:
    (whole,) = vision.read_frame(car("苏E73W26"))
    assert whole.reading.text == "苏E73W26"
    assert whole.reading.accepted
    assert not whole.cut_off
    for visible in (0.99, 0.93, 0.86, 0.7):
        reads = vision.read_frame(car("苏E73W26", visible=visible))
        assert not any(read.reading.accepted for read in reads), visible
        assert all(read.cut_off for read in reads)


def test_a_small_plate_beside_a_large_one_is_found_by_looking_closely(vision: PlateVision) -> None:
    frame = street(1920, 1080)
    for text, width_px, left, top in (("苏E73W26", 200, 300, 700), ("浙C65P41", 32, 1500, 300)):
        frame[top - width_px : top + width_px, left - width_px : left + 2 * width_px] = (60, 40, 40)
        plate = cut_out(text, width_px)
        frame[top : top + plate.shape[0], left : left + width_px] = plate
    frame = cv2.GaussianBlur(frame, (0, 0), 0.7)
    assert [read.reading.text for read in vision.read_picture(frame)] == ["苏E73W26"]
    assert {read.reading.text for read in vision.read_picture(frame, closely=True)} == {
        "苏E73W26",
        "浙C65P41",
    }


def test_a_cut_out_given_as_a_picture_is_not_cut_off(vision: PlateVision) -> None:
    (read,) = vision.read_picture(cut_out("苏E73W26", 160))
    assert read.reading.text == "苏E73W26"
    assert read.reading.accepted
    assert not read.cut_off


@pytest.mark.parametrize("text", ["苏E73W26", "粤BD12345", "京A0006警"])
@pytest.mark.parametrize("end", ["first", "last"])
def test_a_cut_out_without_its_first_or_last_character_is_not_accepted(
    vision: PlateVision, text: str, end: str
) -> None:
    plate = cut_out(text, 160)
    assert vision.read_crop(plate).reading.accepted
    part = plate[:, 16:] if end == "first" else plate[:, :-16]
    read = vision.read_crop(np.ascontiguousarray(part))
    assert not read.reading.accepted, read.reading


@pytest.mark.parametrize("shape", [(40, 30), (9, 700), (1200, 9), (8, 8)])
def test_odd_sizes_are_read(vision: PlateVision, shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), 90, np.uint8)
    assert not any(read.reading.accepted for read in vision.read_picture(picture))
    assert not vision.read_crop(picture).reading.accepted


def test_a_picture_of_a_few_pixels_is_refused(vision: PlateVision) -> None:
    for read in (vision.read_frame, vision.read_picture, vision.read_crop):
        with pytest.raises(BadFrame, match="7x700, too small"):
            read(np.zeros((700, 7, 3), np.uint8))


@pytest.mark.parametrize("frame", [np.zeros((100, 100), np.uint8), np.zeros((100, 100, 3), np.float32)])
def test_what_is_no_colour_picture_is_refused(vision: PlateVision, frame: np.ndarray) -> None:
    with pytest.raises(BadFrame, match="height x width x 3 bytes"):
        vision.read_frame(frame)


def test_a_polygon_outside_the_frame_is_said(vision: PlateVision) -> None:
    with pytest.raises(BadFrame, match="outside the 640x360 frame"):
        vision.read_frame(street(), [(2000, 2000), (2400, 2000), (2400, 2300)])


def test_a_tile_is_the_polygon_with_a_margin_inside_the_frame() -> None:
    region = surroundings(SQUARE, 520, 1080)
    assert (region.left, region.right) == (68, 520)
    assert (region.top, region.bottom) == (74, 426)


@pytest.mark.parametrize(("x", "stands"), [(300, True), (520, True), (700, False)])
def test_a_plate_may_hang_over_the_line_by_half_its_width(x: float, stands: bool) -> None:
    corners = ((x - 50, 200), (x + 50, 200), (x + 50, 232), (x - 50, 232))
    assert stands_in(corners, SQUARE) is stands


def test_a_folded_quad_is_no_plate() -> None:
    good = np.asarray([[0, 0], [100, 0], [100, 30], [0, 30]], np.float32)
    assert is_sound(good)
    assert not is_sound(good[[0, 2, 1, 3]])
    assert not is_sound(good[::-1].copy())
    assert not is_sound(good * 0.1)


@pytest.mark.parametrize("y", [[100, 100, 100, 100], [100, 100, 100.01, 100.01], [100, 100, 90, 90]])
def test_corners_that_span_nothing_are_passed_over(vision: PlateVision, y: list[float]) -> None:
    corners = np.asarray([*zip([100, 200, 200, 100], y, strict=True)], np.float32)
    assert not is_sound(corners)
    assert vision._read_all(street(), [Candidate(corners=corners, score=0.9, two_rows=0.0)]) == []


def validation_scenes(pictures: Path) -> dict[str, list[str]]:
    """Scenes whose names begin with 0-3: no model was trained on them."""
    scenes: dict[str, list[str]] = {}
    with (pictures / "labels.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["kind"] == "scene" and Path(row["file"]).name[0] in "0123":
                scenes.setdefault(row["file"], []).append(row["plate_text"])
    return scenes


@pytest.mark.pictures
def test_most_validation_scenes_are_read_wholly_right(vision: PlateVision, pictures: Path) -> None:
    right = plates = 0
    for name, texts in validation_scenes(pictures).items():
        reads = vision.read_picture(decode_picture((pictures / name).read_bytes()))
        found = [read.reading.text for read in reads]
        plates += len(texts)
        right += sum(text in found for text in texts)
    assert right >= 0.8 * plates, f"{right} of {plates}"
