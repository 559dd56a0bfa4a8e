"""The checks run side by side and within a bound, for every member of the group."""

import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from edged.diagnosis import Daemon, check_parts
from edged.diagnosis.local import check_enrolment, check_store
from edged.domain.health import Finding, HealthStatus
from edged.settings import StoreSettings, load_settings
from edged.store import Store

STOPPED = Daemon(is_running=False, finding=Finding.sound("daemon", "not asked"))
SETTINGS = """
[site]
site_id = "street"
device_id = "pole-0001"
[[bus]]
name = "kerb"
port = "/dev/null-bus"
[[sensor]]
name = "loop-1"
bus = "kerb"
device_id = 1
profile = "ld120"
{cameras}
[[berth]]
berth_no = "1001"
sensor = "loop-1"
camera = "camera-0"
[store]
directory = "store"
[uplink]
cloud_url = "http://127.0.0.1:9"
credentials = "credentials.json"
"""
CAMERA = """
[[camera]]
name = "camera-{number}"
kind = "http"
source = "http://127.0.0.1:{port}/picture"
timeout_s = 30
"""


@contextmanager
def silent_server() -> Iterator[int]:
    """Accept connections and answer nothing, until the block ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def test_silent_cameras_are_findings_and_hold_up_nothing(tmp_path: Path) -> None:
    with silent_server() as port:
        cameras = "".join(CAMERA.format(number=number, port=port) for number in range(4))
        path = tmp_path / "edged.toml"
        path.write_text(SETTINGS.format(cameras=cameras))
        began_s = time.monotonic()
        found = check_parts(load_settings(path), STOPPED, within_s=4.0)
        took_s = time.monotonic() - began_s
    by_part = {finding.where: finding for finding in found}
    for number in range(4):
        assert by_part[f"camera camera-{number}"].status is HealthStatus.FAILED
    assert by_part["model"].status is HealthStatus.OK
    assert by_part["cloud"].status is HealthStatus.FAILED
    assert by_part["bus kerb"].status is HealthStatus.FAILED
    assert took_s < 4.0 + 10.0  # four silent cameras one after the other would take two minutes


@pytest.fixture
def as_group_member(tmp_path: Path) -> Callable[[Callable[[], bool]], bool]:
    """Return a function that runs a question as another user, who is in the store's group."""
    if os.getuid() != 0:
        pytest.skip("only root can act as another user")
    group, user = 54321, 65534
    for place in (tmp_path, *tmp_path.parents):
        if not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)

    def ask(question: Callable[[], bool]) -> bool:
        for place in (tmp_path / "store", *(tmp_path / "store").iterdir()):
            os.chown(place, -1, group)
            place.chmod(0o750 if place.is_dir() else 0o640)
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([group])
                os.setgid(group)
                os.setuid(user)
                os._exit(0 if question() else 1)
            finally:
                os._exit(2)
        return os.waitpid(child, 0)[1] == 0

    return ask


def test_a_member_of_the_group_sees_the_records_of_a_stopped_daemon(
    tmp_path: Path, as_group_member: Callable[[Callable[[], bool]], bool]
) -> None:
    directory = tmp_path / "store"
    with Store.open(StoreSettings(directory=directory)):
        pass
    assert as_group_member(lambda: {f.light for f in check_store(directory, STOPPED)} == {"green"})


def test_credentials_that_only_the_daemon_may_read_are_no_trouble_while_it_runs(
    tmp_path: Path, as_group_member: Callable[[Callable[[], bool]], bool]
) -> None:
    (tmp_path / "store").mkdir()
    path = tmp_path / "credentials.json"
    path.write_text("{}")
    path.chmod(0o600)
    running = Daemon(is_running=True, finding=Finding.sound("daemon", "runs"))
    assert as_group_member(lambda: check_enrolment(path, running).light == "green")
    assert as_group_member(lambda: check_enrolment(path, STOPPED).light == "yellow")


def test_pictures_that_went_for_their_age_are_no_trouble(tmp_path: Path) -> None:
    with closing(Store.open(StoreSettings(directory=tmp_path))):
        pass
    with closing(sqlite3.connect(tmp_path / "edged.db")) as db, db:
        db.execute("INSERT INTO drop_count (cause, count) VALUES ('evidence_by_age', 3)")
    found = next(iter(check_store(tmp_path, STOPPED)))
    assert found.status is HealthStatus.OK
    assert "3 x evidence_by_age" in found.cause
