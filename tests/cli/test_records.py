"""`edged visits`, `edged outbox`, `edged enrol`, beside a running store."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edged.cli import app
from edged.domain.plate import PlateKind
from edged.domain.reading import PlateReading
from edged.domain.timekeeping import Stamp
from edged.settings import load_settings
from edged.store import NewReading, Store
from edged.wire import EventVerdict, Verdict

CONFIG = """
[site]
site_id = "demo"
device_id = "pole-0001"
time_zone = "Asia/Shanghai"
[[bus]]
name = "kerb"
port = "/dev/ttyUSB0"
[[sensor]]
name = "loop-1"
bus = "kerb"
device_id = 1
profile = "ld120"
[[camera]]
name = "high"
kind = "folder"
source = "pictures"
[[berth]]
berth_no = "1001"
sensor = "loop-1"
camera = "high"
[store]
directory = "store"
[uplink]
cloud_url = "http://127.0.0.1:9"
credentials = "credentials.json"
timeout_s = 1
"""


def stamp(second: int) -> Stamp:
    utc = datetime(2026, 3, 1, 8, 0, second, tzinfo=UTC)
    return Stamp(utc=utc, clock_synced=True, boot_id="boot-1", monotonic_s=100.0 + second)


def edged(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edged.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def store(config: Path) -> Iterator[Store]:
    """A store in use by a daemon, with one visit read and one event refused."""
    with Store.open(load_settings(config).store) as store:
        store.drive_in("1001", "visit-0001", stamp(0), "sensor")
        (event,) = store.pending(1, stamp(1))
        refusal = "berth unknown [site demo], plate 京A12345"
        store.apply_verdicts(
            [EventVerdict(event_id=event.event_id, verdict=Verdict.REJECTED, reason=refusal)]
        )
        store.commit_reading(
            NewReading(
                visit_id="visit-0001",
                berth_no="1001",
                stamp=stamp(2),
                reading=PlateReading(
                    text="京A12345",
                    kind=PlateKind.SMALL_CAR,
                    characters=(0.99,) * 7,
                    confidence=0.99,
                    accepted=True,
                ),
                captured=stamp(1),
                model_version="reader-1",
                evidence_jpeg=None,
            )
        )
        yield store


def test_visits_are_listed_with_plates_masked(config: Path, store: Store) -> None:
    shown = edged("visits", "--config", str(config)).stdout
    assert "京A·**345" in shown
    assert "京A12345" not in shown
    assert "03-01 16:00:00" in shown  # the site's own time


def test_plates_are_shown_in_full_when_asked_for(config: Path, store: Store) -> None:
    line = edged("visits", "--config", str(config), "--json").stdout
    assert json.loads(line)["plate"] == "京A·**345"
    line = edged("visits", "--config", str(config), "--json", "--show-plates").stdout
    visit = json.loads(line)
    assert visit["plate"] == "京A12345"
    assert visit["arrived"] == "2026-03-01T08:00:00+00:00"
    assert visit["left"] is None


def test_the_outbox_says_what_waits_and_what_was_refused(config: Path, store: Store) -> None:
    shown = edged("outbox", "--config", str(config)).stdout
    assert "1 events wait" in shown
    assert "[site demo]" in shown
    assert "京A12345" not in shown
    found = json.loads(edged("outbox", "--config", str(config), "--json").stdout)
    assert (found["waiting"], found["rejected"]) == (1, 1)
    assert found["rejected_events"][0]["reason"] == "berth unknown [site demo], plate 京A·**345"


def test_a_refused_event_is_sent_again(config: Path, store: Store) -> None:
    assert store.counts().rejected == 1
    event_id = store.rejected()[0].event_id
    answer = edged("outbox", "requeue", event_id, "--config", str(config))
    assert answer.stdout == "1 event will be sent again\n"
    assert store.counts().rejected == 0
    again = edged("outbox", "requeue", event_id, "--config", str(config))
    assert again.exit_code == 1
    assert "no refused event" in again.stderr


def test_before_the_first_start_the_commands_say_so(config: Path) -> None:
    for command in (["visits"], ["outbox"], ["outbox", "requeue", "--all"]):
        answer = edged(*command, "--config", str(config))
        assert answer.exit_code == 1
        assert "no records yet; start the daemon" in answer.stderr
        assert "Traceback" not in answer.stderr


def test_a_wrong_config_is_explained(tmp_path: Path) -> None:
    answer = edged("visits", "--config", str(tmp_path / "none.toml"))
    assert answer.exit_code == 78
    assert "none.toml" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_enrolling_without_a_cloud_says_what_to_check(config: Path) -> None:
    answer = edged("enrol", "--config", str(config), "--code", "CODE-1234")
    assert answer.exit_code == 1
    assert "refused the connection; check SIM" in answer.stderr
    assert not (config.parent / "credentials.json").exists()
