"""The running demo: its processes started in order, and what can be done to and asked of them."""

import json
import socket
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.demo.driver import Answered, Api, Order
from edged.demo.hardware import Hardware, begin_hardware, hear_hardware
from edged.demo.processes import DemoFailure, Processes
from edged.demo.site_files import DEVICE, POLE_CODE, SITE, SiteFiles
from edged.demo.timeline import Timeline, from_here

_BIN = Path(sys.executable).parent
EDGED, EDGED_CLOUD = str(_BIN / "edged"), str(_BIN / "edged-cloud")


@dataclass(frozen=True, slots=True, kw_only=True)
class Street:
    """Everything that runs."""

    processes: Processes
    timeline: Timeline
    hardware: Hardware
    config: Path
    pole: Api
    phone: Api
    operator: Api

    def wait_for_state(self, berth_no: str, state: str, *, within_s: float = 10.0) -> float:
        """Return how long it took the pole to see the berth so."""
        return self.processes.wait_until(
            lambda: self.berths()[berth_no]["state"] == state,
            within_s=within_s,
            what=f"berth {berth_no} {state} at the pole",
            process="edged",
        )

    def berths(self) -> dict[str, Any]:
        """Return the pole's berths by number."""
        return {one["berth_no"]: one for one in self.pole.ask("GET", "/v1/berths")["items"]}

    def reading(self, berth_no: str) -> dict[str, Any] | None:
        """Return what the pole has read in the berth, None while it has not."""
        reading: dict[str, Any] | None = self.snapshot_at_pole(berth_no)["reading"]
        return reading

    def snapshot_at_pole(self, berth_no: str) -> Answered:
        return self.pole.ask("GET", f"/v1/berths/{berth_no}/snapshot?nonce=demo-nonce-1")

    def fresh_look(self, berth_no: str) -> Answered:
        """Let the pole take a new picture; it answers within 15 s."""
        order = {"nonce": "demo-nonce-2"}
        return self.pole.ask("POST", f"/v1/berths/{berth_no}/captures", order, timeout_s=20)

    def snapshot_by_cloud(self, berth_no: str) -> Answered:
        """Let the cloud pull the berth's snapshot, as an operator does."""
        return self.operator.ask("GET", f"/v1/berths/{berth_no}/snapshot")

    def new_order(self) -> Order:
        return Order(self.phone, POLE_CODE)

    def visits(self) -> list[dict[str, Any]]:
        """Return the box's own records, newest first."""
        text = self._edged("visits", "--json", "--show-plates", "--limit", "1000")
        return [json.loads(line) for line in text.splitlines()]

    def outbox(self) -> dict[str, Any]:
        """Return what waits for the cloud."""
        counts: dict[str, Any] = json.loads(self._edged("outbox", "--json"))
        return counts

    def start_edged(self) -> float:
        """Start the daemon as systemd does; return how long it took to know every berth."""
        self.processes.start("edged", [EDGED, "run", "--config", str(self.config)])
        return self.processes.wait_until(
            self._knows_its_berths, within_s=60, what="edged knows its berths", process="edged"
        )

    def start_cloud(self) -> None:
        """Start the cloud again after it was killed."""
        _serve_cloud(self.processes, self.hardware.files.folder / "cloud.toml")
        self.processes.wait_until(
            lambda: _answers(self.phone), within_s=60, what="the cloud is ready", process="cloud"
        )

    def _knows_its_berths(self) -> bool:
        try:
            return all(one["state"] in ("vacant", "occupied") for one in self.berths().values())
        except DemoFailure:
            return False  # not listening yet

    def _edged(self, *arguments: str) -> str:
        return self.processes.run("edged-cli", [EDGED, *arguments, "--config", str(self.config)])


def start_street(
    processes: Processes, timeline: Timeline, files: SiteFiles, night: Sequence[int], *, with_polygons: bool
) -> Street:
    """Start bus, camera, cloud and daemon, and enrol the one with the other."""
    begin_hardware(processes, files, night=night)
    cloud_port, api_port = free_port(), free_port()
    cloud_url = f"http://127.0.0.1:{cloud_port}"
    phone, operator, code = _start_cloud(processes, files, cloud_port)
    timeline.step("cloud", f"orders and devices on {cloud_url}, SQLite")
    hardware = hear_hardware(processes, files)
    timeline.step("bus", f"RS-485 at 9600 baud on {files.run / 'bus0'}: {_sensors(files)}")
    channels = len({berth.channel for berth in files.berths})
    timeline.step("camera", f"HTTP with Digest on port {hardware.camera_port}, {channels} channels")
    config = files.write_edged(
        camera_port=hardware.camera_port,
        api_port=api_port,
        cloud_url=cloud_url,
        polygons=hardware.polygons if with_polygons else None,
    )
    (files.run / "store").mkdir(exist_ok=True)
    processes.run("edged-cli", [EDGED, "check-config", "--config", str(config)])
    processes.run("edged-cli", [EDGED, "enrol", "--config", str(config), "--code", code])
    timeline.step("edged", f"config checked, box enrolled with a one-time code as {DEVICE}")
    token = json.loads((files.run / "credentials.json").read_text())["snapshot_token"]
    street = Street(
        processes=processes,
        timeline=timeline,
        hardware=hardware,
        config=config,
        pole=Api(f"http://127.0.0.1:{api_port}", token, "edged"),
        phone=Api(cloud_url, phone, "cloud"),
        operator=Api(cloud_url, operator, "cloud"),
    )
    took_s = street.start_edged()
    timeline.step("edged", f"edged run --config {from_here(config)}: all berths known", took_s=took_s)
    return street


def _start_cloud(processes: Processes, files: SiteFiles, port: int) -> tuple[str, str, str]:
    """Return the terminal's token, the operator's token and the pole's one-time code."""
    settings, registry = files.write_cloud(port)

    def cloud(*arguments: str) -> str:
        return processes.run("cloud-cli", [EDGED_CLOUD, *arguments, "--config", str(settings)]).strip()

    cloud("load", str(registry))
    _serve_cloud(processes, settings)
    with ThreadPoolExecutor() as at_once:  # each is a Python that starts up
        code, phone, operator = at_once.map(
            lambda arguments: cloud(*arguments, "--site", SITE),
            (
                ("enrol", "--device-id", DEVICE),
                ("terminal", "add", "--name", "phone-app"),
                ("operator", "add", "--name", "desk"),
            ),
        )
    ready = Api(f"http://127.0.0.1:{port}", "", "cloud")
    processes.wait_until(lambda: _answers(ready), within_s=60, what="the cloud is ready", process="cloud")
    return phone, operator, code


def _serve_cloud(processes: Processes, settings: Path) -> None:
    processes.start("cloud", [EDGED_CLOUD, "serve", "--config", str(settings)])


def _answers(api: Api) -> bool:
    try:
        api.ask("GET", "/readyz", timeout_s=2)
    except DemoFailure:
        return False
    return True


def _sensors(files: SiteFiles) -> str:
    return ", ".join(f"{berth.profile} (id {berth.sensor_id})" for berth in files.berths)


def free_port() -> int:
    """Return a TCP port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
