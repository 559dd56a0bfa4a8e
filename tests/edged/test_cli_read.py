"""`edged read` as a technician and as a benchmark call it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edged.cli import app
from edged.domain.plate import PlateKind


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
    assert list(plate) == ["text", "kind", "confidence", "characters", "accepted", "corners"]
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
