"""`edged read` as a technician and as a benchmark call it."""

import json
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edged.cli import app
from edged.cli.annotated import write_annotated
from edged.domain.plate import PlateKind
from edged.domain.reading import PlateRead, PlateReading, SlotProbabilities

EDGED = Path(sys.executable).parent / "edged"


def edged_read(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["read", *map(str, arguments)])


def lines_of(result: Result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    frame = np.random.default_rng(2).integers(60, 180, (240, 320, 3), np.uint8)
    frame = cv2.GaussianBlur(frame, (0, 0), 3)
    cv2.rectangle(frame, (100, 120), (200, 152), (160, 70, 20), -1)
    cv2.putText(frame, "A12345", (104, 146), cv2.FONT_HERSHEY_SIMPLEX, 0.75, (250, 250, 250), 2)
    path = tmp_path / "street.png"
    assert cv2.imwrite(str(path), frame)
    return path


def test_each_file_gets_one_line_in_the_order_given(tmp_path: Path, picture: Path) -> None:
    broken, missing = tmp_path / "broken.jpg", tmp_path / "missing.jpg"
    done, jpeg = cv2.imencode(".jpg", cv2.imread(str(picture)))
    assert done
    broken.write_bytes(jpeg.tobytes()[:-400])
    result = edged_read("--json", missing, picture, broken, picture)
    assert result.exit_code == 1
    lines = lines_of(result)
    assert [line["file"] for line in lines] == [str(p) for p in (missing, picture, broken, picture)]
    assert "No such file" in lines[0]["error"]
    assert "cut off" in lines[2]["error"]
    assert lines[0]["plates"] == lines[2]["plates"] == []
    assert "error" not in lines[1]
    assert lines[1] == lines[3]


def test_a_cut_out_gives_exactly_one_entry_of_the_documented_shape(picture: Path) -> None:
    (line,) = lines_of(edged_read("--json", "--crop", picture))
    (plate,) = line["plates"]
    assert list(plate) == ["text", "kind", "confidence", "characters", "accepted", "cut_off", "corners"]
    assert plate["kind"] in set(PlateKind)
    assert 0 <= plate["confidence"] <= 1
    assert len(plate["characters"]) == len(plate["text"])
    assert isinstance(plate["accepted"], bool)
    assert plate["corners"] == [[0, 0], [320, 0], [320, 240], [0, 240]]


def test_all_readable_means_exit_status_0_and_a_table(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(picture.parent)  # a short name fits one line of the table
    result = edged_read("--crop", picture.name)
    assert result.exit_code == 0
    assert "confidence" in result.stdout
    assert "street.png" in result.stdout


def test_other_formats_are_read_like_any(tmp_path: Path, picture: Path) -> None:
    colour = cv2.imread(str(picture))
    grey, alpha, deep = tmp_path / "grey.png", tmp_path / "alpha.png", tmp_path / "deep.png"
    cv2.imwrite(str(grey), cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY))
    cv2.imwrite(str(alpha), cv2.cvtColor(colour, cv2.COLOR_BGR2BGRA))
    cv2.imwrite(str(deep), colour.astype(np.uint16) * 257)
    result = edged_read("--json", grey, alpha, deep, picture)
    assert result.exit_code == 0
    lines = lines_of(result)
    assert lines[1]["plates"] == lines[2]["plates"] == lines[3]["plates"]


def test_annotated_pictures_of_one_name_do_not_overwrite_each_other(tmp_path: Path, picture: Path) -> None:
    out = tmp_path / "out"
    assert edged_read("--annotate", out, picture, picture).exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["street-2.jpg", "street.jpg"]


def test_models_that_cannot_be_used_end_it_with_status_2(tmp_path: Path, picture: Path) -> None:
    result = edged_read("--models", tmp_path, picture)
    assert result.exit_code == 2
    assert "manifest.json" in result.stderr
    assert str(tmp_path) in result.stderr


def test_asking_for_help_loads_no_models_and_no_opencv() -> None:
    script = (
        "import sys; from edged.cli import app\n"
        "try: app(['read', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'cv2', 'numpy', 'ai_edge_litert', 'tflite_runtime'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_four_megapixel_picture_is_read_within_160_mb(tmp_path: Path) -> None:
    frame = cv2.resize(np.random.default_rng(3).integers(0, 255, (153, 272, 3), np.uint8), (2448, 1632))
    path = tmp_path / "large.jpg"
    assert cv2.imwrite(str(path), frame)
    # The child's own peak, not that of this process, which it inherits on fork.
    script = (
        "import sys, resource; from edged.cli import app\n"
        f"try: app(['read', '--json', {str(path)!r}])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "peak = [l for l in open('/proc/self/status') if l.startswith('VmHWM')][0].split()[1]\n"
        "print(peak, file=sys.stderr)\n"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=environment,
    )
    assert int(done.stderr.split()[-1]) <= 160 * 1024


def test_a_small_file_that_unfolds_to_gigabytes_is_refused_in_little_memory(tmp_path: Path) -> None:
    side_px = 20_000
    bomb, endless = tmp_path / "bomb.png", Path("/dev/zero")
    assert cv2.imwrite(str(bomb), np.zeros((side_px, side_px), np.uint8))
    script = (
        "import sys, resource; from edged.cli import app\n"
        f"try: app(['read', '--json', {str(bomb)!r}, {str(endless)!r}])\n"
        "except SystemExit as end: assert end.code == 1, end.code\n"
        "peak = [l for l in open('/proc/self/status') if l.startswith('VmHWM')][0].split()[1]\n"
        "print(peak, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    errors = [json.loads(line)["error"] for line in done.stdout.splitlines()]
    assert errors == [
        "the picture is over 50 megapixels; choose a smaller resolution",
        "the file is over 64 MiB; it is not a picture of a car",
    ]
    assert int(done.stderr.split()[-1]) <= 300 * 1024


def test_what_opencv_cannot_decode_is_told_once_and_in_our_words(tmp_path: Path, picture: Path) -> None:
    whole, cut_off, other = tmp_path / "whole.bmp", tmp_path / "cut_off.bmp", tmp_path / "other.gif"
    assert cv2.imwrite(str(whole), cv2.imread(str(picture)))
    cut_off.write_bytes(whole.read_bytes()[:100_000])
    other.write_bytes(b"GIF89a" + bytes(64))
    done = subprocess.run(
        [EDGED, "read", "--json", cut_off, other],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == ""
    for line in done.stdout.splitlines():
        assert json.loads(line)["error"].startswith("no whole JPEG, PNG, BMP, TIFF or WebP picture")


def test_a_name_that_is_not_utf_8_leaves_the_line_valid_json(tmp_path: Path, picture: Path) -> None:
    path = os.fsencode(tmp_path) + b"/bad\xff\xfe.png"
    Path(os.fsdecode(path)).write_bytes(picture.read_bytes())
    done = subprocess.run(
        [EDGED, "read", "--json", path],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert os.fsencode(json.loads(done.stdout.decode("utf-8"))["file"]) == path


def test_a_folder_that_cannot_be_made_is_told_with_status_2(tmp_path: Path, picture: Path) -> None:
    (tmp_path / "file").touch()
    result = edged_read("--annotate", tmp_path / "file" / "out", picture)
    assert result.exit_code == 2
    assert "cannot be made (Not a directory); name another folder" in result.stderr


@pytest.mark.parametrize("size", [(400, 600), (24, 60)])
def test_annotated_pictures_show_the_province(tmp_path: Path, size: tuple[int, int]) -> None:
    shown = []
    for text in ("皖A12345", "京A12345", "沪A12345"):
        reading = PlateReading(
            text=text, kind=PlateKind.SMALL_CAR, confidence=0.99, characters=(0.99,) * 7, accepted=True
        )
        corners = ((20.0, 10.0), (40.0, 10.0), (40.0, 20.0), (20.0, 20.0))
        plate = PlateRead(
            reading=reading,
            corners=corners,
            probabilities=SlotProbabilities(slots=(), kinds={}),
            sharpness=1.0,
        )
        path = tmp_path / "one.jpg"
        write_annotated(path, np.full((*size, 3), 90, np.uint8), [plate])
        shown.append(cv2.imread(str(path)))
    for one, other in combinations(shown, 2):
        assert one.shape == (*size, 3)
        assert np.abs(one.astype(int) - other).max() > 60
