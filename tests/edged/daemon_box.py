"""A box's folder, and its daemon as a process."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import requests

from edged.control import ControlError, ask
from edged.demo.street import free_port
from edged.store import Archive, Visit
from edged.vision.manifest import find_models

EDGED = Path(sys.executable).with_name("edged")
PROFILES = Path(__file__).parents[2] / "config" / "sensors"

SETTINGS = """
[site]
site_id = "street"
device_id = "pole-0001"
[[bus]]
name = "kerb"
port = "{port}"
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
settle_in_s = 0.1
[model]
directory = "models"
[store]
directory = "store"
[uplink]
cloud_url = "http://127.0.0.1:9"
credentials = "credentials.json"
[snapshot_api]
port = {http_port}
"""


class Box:
    """A box's folder: settings, pictures, models, and the port of a bus that may be missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "edged.toml"
        self.port = folder / "bus0"
        self.http_port = free_port()
        self.settings.write_text(SETTINGS.format(port=self.port, http_port=self.http_port))
        (folder / "pictures").mkdir()
        picture = np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8)
        cv2.imwrite(str(folder / "pictures" / "berth.jpg"), picture)
        shutil.copytree(find_models(), folder / "models", ignore=shutil.ignore_patterns("training"))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(EDGED), *arguments, "--config", str(self.settings)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    @contextmanager
    def running(self, ends_with: int = 0) -> Iterator[subprocess.Popen[bytes]]:
        """Run the daemon while the block lasts; SIGTERM must end it with the status `ends_with`."""
        with (self.folder / "edged.log").open("w") as log:
            daemon = subprocess.Popen([str(EDGED), "run", "--config", str(self.settings)], stderr=log)
        try:
            yield daemon
        finally:
            daemon.send_signal(signal.SIGTERM)
            status = daemon.wait(20)
        assert status == ends_with

    def ask(self, command: str) -> Any:
        try:
            return ask(self.folder / "store", command)
        except ControlError:
            return None

    def metrics(self) -> dict[str, float]:
        """Return what /metrics says, by series."""
        text = requests.get(f"http://127.0.0.1:{self.http_port}/metrics", timeout=10).text
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    def log(self) -> str:
        return (self.folder / "edged.log").read_text()

    def visits(self) -> list[Visit]:
        with Archive.open_existing(self.folder / "store") as archive:
            return archive.visits()

    def is_occupied(self) -> bool:
        return [berth["state"] for berth in self.ask("berths") or ()] == ["occupied"]

    def is_watched(self) -> bool:
        """Tell whether the daemon has heard of its sensor."""
        return [berth["state"] for berth in self.ask("berths") or ()] == ["vacant"]

    def causes(self) -> dict[str, str]:
        return {problem["component"]: problem["cause"] for problem in self.ask("health") or ()}

    def problems(self) -> dict[str, str]:
        return {problem["component"]: problem["remedy"] for problem in self.ask("health") or ()}
