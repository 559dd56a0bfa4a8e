"""The demo's street, started once: bus, camera, cloud and daemon as processes of their own."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from edged.demo.hardware import four_berths
from edged.demo.processes import DemoFailure, Processes
from edged.demo.site_files import SiteFiles
from edged.demo.street import Street, start_street
from edged.demo.timeline import Timeline


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    out = tmp_path_factory.mktemp("street")
    (out / "settings").mkdir()
    timeline = Timeline(Console(file=io.StringIO(), width=200))
    # sockets have short names only: pytest's own folders would be too long
    with tempfile.TemporaryDirectory(prefix="edged-e2e-") as run, Processes(out / "logs") as processes:
        files = SiteFiles(
            folder=out / "settings", run=Path(run), berths=four_berths(one_camera_each=False), seed=7
        )
        try:
            yield start_street(processes, timeline, files, [201], with_polygons=True)
        except DemoFailure as failure:
            pytest.fail(f"{failure}\n{processes.tail(failure.process or '')}")
