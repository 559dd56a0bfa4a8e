"""What stands on the street in the demo: simulated sensors on a bus, and simulated cameras."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.demo.cars import DemoCar
from edged.demo.processes import DemoFailure, Processes
from edged.demo.site_files import DemoBerth, SiteFiles
from firmware_bridge.errors import BridgeError
from firmware_bridge.simulator import send_command

_SENSORS = (("1001", 1, "ld120"), ("1002", 2, "ld120"), ("1003", 3, "urm15"), ("1004", 4, "urm15"))
_RENDER_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """Both simulators, and the commands that move cars through both."""

    files: SiteFiles
    camera_port: int
    polygons: Mapping[str, Sequence[Sequence[int]]]

    def drive_in(self, berth_no: str, car: DemoCar) -> None:
        """Put a car into the camera's picture, then onto the sensor."""
        self._command("camera", car.on_stage(berth_no))
        self._command("bus", {"do": "arrive", "device": self._sensor_id(berth_no)})

    def drive_out(self, berth_no: str) -> None:
        self._command("camera", {"do": "leave", "berth_no": berth_no})
        self._command("bus", {"do": "leave", "device": self._sensor_id(berth_no)})

    def camera_fault(self, answer: str) -> None:
        """Let all cameras answer with a fault; "" mends them."""
        self._command("camera", {"do": "faults", "answer": answer})

    def _sensor_id(self, berth_no: str) -> int:
        return next(berth.sensor_id for berth in self.files.berths if berth.berth_no == berth_no)

    def _command(self, process: str, command: dict[str, Any]) -> None:
        try:
            send_command(self.files.run / f"{process}.sock", command, timeout_s=_RENDER_S)
        except BridgeError as exc:
            raise DemoFailure(str(exc), process) from exc


def four_berths(*, one_camera_each: bool) -> list[DemoBerth]:
    """Return the demo's berths: by two on a camera, or with a camera each, to show whole photographs."""
    return [
        DemoBerth(
            berth_no=berth_no,
            sensor_id=sensor_id,
            profile=profile,
            channel=101 + 100 * (index if one_camera_each else index // 2),
        )
        for index, (berth_no, sensor_id, profile) in enumerate(_SENSORS)
    ]


def begin_hardware(processes: Processes, files: SiteFiles, *, night: Sequence[int]) -> None:
    """Start both simulators without waiting for them: the street takes seconds to be drawn."""
    by_day = {berth.channel: berth.channel not in night for berth in files.berths}
    for name, module, config in (
        ("camera", "edged.demo.camera_server", files.write_camera(by_day)),
        ("bus", "firmware_bridge.simulator", files.write_bus()),
    ):
        _start(processes, name, module, config)


def hear_hardware(processes: Processes, files: SiteFiles) -> Hardware:
    """Wait until both simulators are ready."""
    processes.hear("bus", within_s=60)
    camera = processes.hear("camera", within_s=120)
    return Hardware(files=files, camera_port=camera["port"], polygons=camera["polygons"])


def start_hardware(processes: Processes, files: SiteFiles, *, night: Sequence[int]) -> Hardware:
    """Start both simulators and wait for them; DemoFailure when one does not start."""
    begin_hardware(processes, files, night=night)
    return hear_hardware(processes, files)


def _start(processes: Processes, name: str, module: str, config: Path) -> None:
    command = [sys.executable, "-m", module, "--config", str(config)]
    processes.start(name, command, output_to_log=False)
