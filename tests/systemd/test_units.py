"""The units as systemd itself judges them (FACTS: systemd 252, no systemd as PID 1 needed)."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
TIMERS = sorted(FOLDER.glob("*.timer"))

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing (Debian package systemd)"
)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def installed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The unit with its program path replaced by one that exists here."""
    unit = tmp_path / request.param.name
    unit.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", request.param.read_text()))
    return unit


@pytest.mark.parametrize("installed", UNITS, indirect=True, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit_without_a_word(installed: Path) -> None:
    result = analyze("verify", "--man=no", str(installed))
    assert result.returncode == 0, result.stderr
    assert installed.name not in result.stderr


@pytest.mark.parametrize("installed", UNITS, indirect=True, ids=lambda unit: unit.name)
def test_the_unit_is_exposed_as_little_as_it_can_be(installed: Path) -> None:
    """systemd's own score, in tenths of 10 (worst); the unit says why it is not lower."""
    result = analyze("security", "--offline=true", "--threshold=19", str(installed))
    assert result.returncode == 0, result.stdout[-400:]


@pytest.mark.parametrize("timer", TIMERS, ids=lambda timer: timer.name)
def test_a_timer_starts_a_unit_that_there_is(timer: Path, tmp_path: Path) -> None:
    service = timer.with_suffix(".service")
    copied = tmp_path / service.name
    copied.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", service.read_text()))
    (tmp_path / timer.name).write_text(timer.read_text())
    result = analyze("verify", "--man=no", str(tmp_path / timer.name), str(copied))
    assert result.returncode == 0, result.stderr
    assert timer.name not in result.stderr
    found = re.search(r"OnCalendar=(.+)", timer.read_text())
    assert found is not None
    assert analyze("calendar", found[1]).returncode == 0
