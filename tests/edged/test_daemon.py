"""`edged run` and `edged diag` as processes, on a box where things are missing."""

import json
import shutil
import socket
import subprocess

import pytest
from daemon_box import Box

from firmware_bridge.simulator import BusSimulator
from tests.waiting import until


def test_wrong_settings_end_the_daemon_with_the_status_that_systemd_does_not_restart(box: Box) -> None:
    box.settings.write_text(box.settings.read_text().replace("ld120", "ld999"))
    result = box.run("run")
    assert result.returncode == 78
    assert 'sensor[1] "loop-1": profile' in result.stderr


def test_a_box_without_port_models_or_cloud_runs_on_and_says_so(box: Box) -> None:
    model = box.folder / "models" / "plate_reader.tflite"
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    with box.running() as daemon:
        expected = {"bus kerb", "model"}
        until(lambda: expected <= box.problems().keys(), within_s=30)
        assert "manifest.json of one release together" in box.problems()["model"]
        assert "adapter" in box.problems()["bus kerb"]
        assert daemon.poll() is None


def test_a_bus_that_appears_later_is_found_without_a_restart(
    box: Box, request: pytest.FixtureRequest
) -> None:
    with box.running():
        until(lambda: "bus kerb" in box.problems(), within_s=30)
        request.getfixturevalue("bus")
        until(lambda: [b["state"] for b in box.ask("berths") or ()] == ["vacant"], within_s=30)
        assert "bus kerb" not in box.problems()


def test_metrics_tell_what_waits_for_a_cloud_that_cannot_be_reached(box: Box, bus: BusSimulator) -> None:
    device = bus.line.device(1)
    assert device is not None
    with box.running():
        until(lambda: [b["state"] for b in box.ask("berths") or ()] == ["vacant"], within_s=30)
        assert box.metrics()["edged_outbox_waiting"] == 0
        device.arrive()
        until(lambda: box.metrics()["edged_outbox_waiting"] >= 2, within_s=30)  # drive-in and reading
        assert 0 < box.metrics()["edged_outbox_oldest_seconds"] < 60
        assert box.metrics()["edged_outbox_rejected"] == 0


def lights(result: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    findings = [json.loads(line) for line in result.stdout.splitlines()]
    return {f["part"]: (f["light"], f["next_action"]) for f in findings}


@pytest.mark.usefixtures("bus")
def test_diag_opens_what_the_daemon_would_and_gives_each_part_a_light(box: Box) -> None:
    result = box.run("diag", "--json")
    found = lights(result)
    for part in ("config", "bus kerb", "sensor loop-1", "camera high", "model", "disk"):
        assert found[part][0] == "green", (part, result.stdout)
    assert found["daemon"][0] == "red"
    assert found["enrolment"] == ("red", found["enrolment"][1])
    assert "edged enrol" in found["enrolment"][1]
    assert found["cloud"][0] == "red"
    assert result.returncode == 2


@pytest.mark.usefixtures("bus")
def test_diag_asks_the_running_daemon_for_its_bus(box: Box) -> None:
    with box.running():
        until(lambda: [b["state"] for b in box.ask("berths") or ()] == ["vacant"], within_s=30)
        # a busy machine may have cost an answer or two: among sixty one does not count
        until(lambda: box.ask("buses")[0]["sensors"][0]["requests"] >= 60, within_s=60)
        found = lights(box.run("diag", "--json"))
        assert found["daemon"][0] == "green"
        assert found["sensor loop-1"][0] == "green"


@pytest.mark.usefixtures("bus")
def test_diag_shows_every_trouble_that_the_running_daemon_knows(box: Box) -> None:
    with socket.create_server(("127.0.0.1", box.http_port)), box.running():
        until(lambda: "snapshot api" in box.problems(), within_s=30)
        found = lights(box.run("diag", "--json"))
        assert found["snapshot api"][0] == "yellow"
        assert {part for part, (light, _) in found.items() if light != "green"} >= box.problems().keys()


def test_diag_shows_the_cause_first_and_what_follows_from_it_under_it(box: Box) -> None:
    with box.running():
        until(lambda: {"bus kerb", "uplink"} <= box.problems().keys(), within_s=30)
        result = box.run("diag")
    first, *lines, last = result.stdout.strip().splitlines()
    assert first.startswith("enrolment: ")
    assert last.startswith("enrolment: ")
    assert "edged enrol" in last
    (cause,) = (number for number, line in enumerate(lines) if "red    enrolment" in line)
    assert "└ ● yellow uplink" in lines[cause + 2]


def test_diag_names_what_is_missing_and_what_to_do(box: Box) -> None:
    shutil.rmtree(box.folder / "pictures")
    shutil.rmtree(box.folder / "models")
    found = lights(box.run("diag", "--json"))
    for part in ("bus kerb", "camera high", "model"):
        light, next_action = found[part]
        assert light == "red"
        assert next_action


def test_diag_is_red_where_nothing_can_be_recorded(box: Box) -> None:
    (box.folder / "store").touch()
    found = lights(box.run("diag", "--json"))
    assert found["daemon"][0] == "red"
    assert found["store"] == ("red", found["store"][1])
    assert "correct store.directory" in found["store"][1]
    (box.folder / "store").unlink()
    (box.folder / "store" / "edged.db").mkdir(parents=True)
    found = lights(box.run("diag", "--json"))
    assert found["store"] == ("red", "move it out of the way")


@pytest.mark.parametrize(
    ("polygon", "light"),
    [
        ("[[5000, 10], [5200, 10], [5200, 400]]", "red"),
        ("[[10, 10], [330, 10], [330, 200]]", "yellow"),
        ("[[10, 10], [320, 10], [320, 240]]", "green"),
    ],
)
def test_diag_sees_an_outline_that_leaves_the_picture(box: Box, polygon: str, light: str) -> None:
    text = box.settings.read_text().replace("settle_in_s", f"polygon = {polygon}\nsettle_in_s")
    box.settings.write_text(text)
    assert lights(box.run("diag", "--json"))["camera high"][0] == light


def test_diag_of_wrong_settings_is_red_with_every_complaint(box: Box) -> None:
    box.settings.write_text("[site]\n")
    result = box.run("diag", "--json")
    assert result.returncode == 2
    assert len(result.stdout.splitlines()) >= 7
