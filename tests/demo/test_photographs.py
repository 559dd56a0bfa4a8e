"""`make demo PHOTOS=folder`: whose labels count, what cannot be shown is left out and told."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.demo.cars import photographed_cars
from edged.demo.photographs import find_photographs
from edged.demo.processes import DemoFailure

PLATE = "京A12345"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures in a folder inside another one."""
    folder = tmp_path / "town" / "photos"
    folder.mkdir(parents=True)
    for name in ("a.jpg", "b b.JPG", "c.png"):
        assert cv2.imwrite(str(folder / name), np.zeros((40, 60, 3), np.uint8))
    return folder


def plates(folder: Path) -> dict[str, str | None]:
    return {photograph.path.name: photograph.plate for photograph in find_photographs(folder)}


def test_without_labels_every_picture_is_shown(folder: Path) -> None:
    assert plates(folder) == {"a.jpg": None, "b b.JPG": None, "c.png": None}


def test_labels_beside_the_pictures_choose_those_with_one_plate_that_can_be_ordered(folder: Path) -> None:
    rows = [f"a.jpg,{PLATE}", f"b b.JPG,{PLATE}", f"b b.JPG,{PLATE}", "c.png,nonsense"]
    (folder / "labels.csv").write_text("\n".join(["file,plate_text", *rows]), encoding="utf-8-sig")
    assert plates(folder) == {"a.jpg": PLATE}


def test_labels_farther_up_count_when_they_name_the_pictures(folder: Path) -> None:
    (folder.parents[1] / "labels.csv").write_text(f"file,plate_text\ntown/photos/c.png,{PLATE}\n")
    assert plates(folder) == {"c.png": PLATE}


@pytest.mark.parametrize("text", ["file,plate_text\nother.jpg,X\n", "name;value\n1;2\n", "\0"])
def test_somebody_elses_labels_farther_up_do_not_matter(folder: Path, text: str) -> None:
    (folder.parent / "labels.csv").write_text(text)
    assert len(plates(folder)) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"name,plate\na.jpg,X\n", "needs the columns file and plate_text"),
        (b"file,plate_text\nother.jpg,X\n", "names none of its pictures"),
        (b"", "needs the columns"),
        (b"file,plate_text\n\xff\xfe\n", "cannot be read"),
        (b"file,plate_text\n\0,\0\n", "names none of its pictures|cannot be read"),
    ],
)
def test_wrong_labels_beside_the_pictures_are_told(folder: Path, text: bytes, says: str) -> None:
    (folder / "labels.csv").write_bytes(text)
    with pytest.raises(DemoFailure, match=says):
        find_photographs(folder)


def test_a_folder_without_pictures_is_told(tmp_path: Path) -> None:
    with pytest.raises(DemoFailure, match=r"holds no picture \(\.bmp, "):
        find_photographs(tmp_path)
    with pytest.raises(DemoFailure, match="cannot be read"):
        find_photographs(tmp_path / "nowhere")


def test_a_broken_picture_is_left_out_and_told(folder: Path) -> None:
    (folder / "a.jpg").write_bytes(b"no picture")
    told: list[str] = []
    cars = list(photographed_cars(find_photographs(folder), told.append))
    assert [str(car) for car in cars] == ["b b.JPG", "c.png"]
    assert len(told) == 1
    assert told[0].startswith("a.jpg is left out: no whole JPEG")
