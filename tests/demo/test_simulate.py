"""`edged simulate`: a pole on a desk, driven by typing, that the daemon's own check accepts."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

EDGED = str(Path(sys.executable).parent / "edged")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("desk")


@pytest.fixture(scope="module")
def desk(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [EDGED, "simulate", "--out", str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as desk:
        said = [_line(desk.stdout) for _ in range(3)]
        assert "1001, 1002, 1003, 1004" in said[0]
        assert "edged run --config" in said[1]
        yield desk
        assert desk.stdin is not None
        desk.stdin.close()
        assert desk.wait(20) == 0


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("in 1001 京A12345", "京A12345 in 1001"),
        ("out 1001", "1001 is empty"),
        ("in 1002", " in 1002"),
        ("in 1003 nowhere.jpg", "cannot be shown"),
        ("in 1003 XX", "京A12345"),
        ("in 9999", "quit"),
        ("camera 404", "camera: 404"),
        ("camera ok", "camera: ok"),
        ("dance", "quit"),
    ],
)
def test_a_typed_line_is_obeyed_or_explained(desk: "subprocess.Popen[str]", typed: str, answer: str) -> None:
    assert desk.stdin is not None
    desk.stdin.write(typed + "\n")
    assert answer in _line(desk.stdout)


def test_its_settings_pass_the_daemons_check(desk: "subprocess.Popen[str]", folder: Path) -> None:
    done = subprocess.run(
        [EDGED, "check-config", "--config", str(folder / "edged.toml")], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def _line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()
