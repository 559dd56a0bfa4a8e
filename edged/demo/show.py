"""The whole loop, watched: starts everything, plays the story, ends everything."""

import argparse
import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from edged.demo.cars import invented_cars, photographed_cars
from edged.demo.hardware import four_berths
from edged.demo.photographs import find_photographs
from edged.demo.processes import DemoFailure, Processes
from edged.demo.scenario import Scenario
from edged.demo.site_files import SiteFiles
from edged.demo.street import start_street
from edged.demo.timeline import Timeline


def main() -> int:
    """Run the demo and return its exit status; KeyboardInterrupt leaves no process behind."""
    arguments = _arguments()
    timeline = Timeline(Console(highlight=False))
    try:
        _run(arguments, timeline)
    except DemoFailure as failure:
        timeline.unexpected.append(str(failure))
        timeline.heading(f"The demo cannot go on: {failure}")
    if timeline.unexpected:
        timeline.heading("Not as expected:")
        for one in timeline.unexpected:
            timeline.note(one)
        timeline.note(f"logs: {arguments.out / 'logs'}")
        return 1
    timeline.heading("Every outcome was as expected.")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m edged.demo", description="The whole loop on one box.")
    parser.add_argument("--photos", type=Path, help="show these pictures instead of rendered scenes")
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="pictures, settings, logs")
    parser.add_argument("--seed", type=int, default=1, help="another street, other cars")
    return parser.parse_args()


def _run(arguments: argparse.Namespace, timeline: Timeline) -> None:
    photographs = find_photographs(arguments.photos) if arguments.photos else None
    settings, logs = _fresh(arguments.out / "settings"), _fresh(arguments.out / "logs")
    with tempfile.TemporaryDirectory(prefix="edged-demo-") as run, Processes(logs) as processes:
        files = SiteFiles(
            folder=settings,
            run=Path(run),
            berths=four_berths(one_camera_each=photographs is not None),
            seed=arguments.seed,
        )
        cars = photographed_cars(photographs, timeline.note) if photographs else invented_cars(arguments.seed)
        try:
            timeline.heading("Sensors, cameras, the cloud and the box start, each a process of its own")
            street = start_street(processes, timeline, files, [201], with_polygons=photographs is None)
            Scenario(street=street, cars=cars, photographs=photographs is not None).play()
        except DemoFailure as failure:
            if failure.process is not None:
                timeline.heading(f"The end of {processes.log_of(failure.process)}:")
                timeline.console.print(processes.tail(failure.process), markup=False, highlight=False)
            raise


def _fresh(folder: Path) -> Path:
    """Return the folder, emptied of what an earlier demo wrote."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder.resolve()
