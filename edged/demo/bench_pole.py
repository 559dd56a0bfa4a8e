"""The simulated pole of `edged simulate`: bus, camera and settings, without cloud and daemon."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edged.demo.cars import DemoCar, invented_cars
from edged.demo.hardware import Hardware, four_berths, start_hardware
from edged.demo.processes import DemoFailure, Processes
from edged.demo.site_files import SiteFiles
from edged.demo.street import free_port


@dataclass(slots=True)
class BenchPole:
    """Running simulators and the settings of a box that watches them."""

    hardware: Hardware
    config: Path
    cars: Iterator[DemoCar]

    @classmethod
    def start(
        cls,
        processes: Processes,
        folder: Path,
        run: Path,
        *,
        cloud_url: str,
        seed: int,
        one_camera_each: bool,
    ) -> "BenchPole":
        """Start bus and camera and write the settings; DemoFailure when one does not start."""
        folder.mkdir(parents=True, exist_ok=True)
        berths = four_berths(one_camera_each=one_camera_each)
        files = SiteFiles(folder=folder, run=run, berths=berths, seed=seed)
        hardware = start_hardware(processes, files, night=[])
        (run / "store").mkdir()
        config = files.write_edged(
            camera_port=hardware.camera_port,
            api_port=free_port(),
            cloud_url=cloud_url,
            polygons=None if one_camera_each else hardware.polygons,
        )
        return cls(hardware=hardware, config=config, cars=invented_cars(seed))

    @property
    def berths(self) -> list[str]:
        return [berth.berth_no for berth in self.hardware.files.berths]

    def obey(self, words: list[str]) -> str | None:
        """Carry out a typed command and return what was done; None when it is not understood."""
        doing: Callable[[], None]
        match words:
            case ["in", berth_no, *rest] if berth_no in self.berths:
                car = self._car(rest)
                doing, done = lambda: self.hardware.drive_in(berth_no, car), f"{car} in {berth_no}"
            case ["out", berth_no] if berth_no in self.berths:
                doing, done = lambda: self.hardware.drive_out(berth_no), f"{berth_no} is empty"
            case ["camera", answer]:
                fault = "" if answer == "ok" else answer
                doing, done = lambda: self.hardware.camera_fault(fault), f"camera: {answer}"
            case _:
                return None
        try:
            doing()
        except DemoFailure as failure:
            return str(failure)
        return done

    def _car(self, rest: list[str]) -> DemoCar:
        if not rest:
            return next(self.cars)
        if Path(rest[0]).suffix:
            return DemoCar(plate=None, photo=Path(rest[0]).resolve())
        return DemoCar(plate=rest[0])
