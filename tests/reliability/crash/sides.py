"""Both sides as processes: a real cloud on SQLite, and a pole's store and uplink."""

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from edged.demo.site_files import DEVICE, SITE, DemoBerth, SiteFiles
from edged.demo.street import EDGED, EDGED_CLOUD, free_port
from edged.exchange import Bounds, ExchangeError, HttpClient
from tests.waiting import until

POLE = Path(__file__).with_name("pole.py")
_READY_WITHIN_S = 100.0
_WORDS = ("arrived", "read", "left")


@dataclass(slots=True)
class Sides:
    """The cloud's and the pole's files, their processes, and what the pole has named as committed."""

    cloud_settings: Path
    cloud_url: str
    pole_settings: Path
    folder: Path
    named: dict[str, set[str]] = field(default_factory=lambda: {word: set() for word in _WORDS})
    cloud: "subprocess.Popen[bytes] | None" = None
    round_no: int = 0

    def start_cloud(self) -> None:
        with (self.folder / "cloud.log").open("ab") as log:
            command = [EDGED_CLOUD, "serve", "--config", str(self.cloud_settings)]
            self.cloud = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._is_ready, "the cloud is ready", within_s=_READY_WITHIN_S)

    def kill_cloud(self) -> None:
        assert self.cloud is not None
        self.cloud.send_signal(signal.SIGKILL)
        self.cloud.wait(10)

    @contextmanager
    def pole(self, visits: int = -1) -> Iterator["subprocess.Popen[str]"]:
        """Run the pole until the block ends, then kill it; what it names is kept."""
        self.round_no += 1
        command = [sys.executable, str(POLE), str(self.pole_settings), str(self.round_no), str(visits)]
        with (self.folder / "pole.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        reader = threading.Thread(target=self._name_all, args=(process,))
        reader.start()
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)
            reader.join()
            assert process.stdout is not None
            process.stdout.close()

    def _name_all(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            word, _, visit_id = line.strip().partition(" ")
            if word in self.named:
                self.named[word].add(visit_id)

    def _is_ready(self) -> bool:
        client = HttpClient("crash")
        with closing(client):
            try:
                answer = client.ask(
                    "GET", f"{self.cloud_url}/readyz", bounds=Bounds(deadline_s=2, wait_s=2, max_bytes=10_000)
                )
            except ExchangeError:
                return False
        return answer.status == 200


@contextmanager
def both_sides(folder: Path) -> Iterator[Sides]:
    """Write the settings of both, start the cloud and enrol the pole."""
    berth = DemoBerth(berth_no="1001", sensor_id=1, profile="ld120", channel=101)
    files = SiteFiles(folder=folder, run=folder, berths=[berth], seed=1)
    port = free_port()
    settings, registry = files.write_cloud(port)
    url = f"http://127.0.0.1:{port}"
    pole = files.write_edged(camera_port=1, api_port=free_port(), cloud_url=url, polygons=None)
    (folder / "store").mkdir()
    sides = Sides(cloud_settings=settings, cloud_url=url, pole_settings=pole, folder=folder)

    def run(program: str, *arguments: str) -> str:
        command = [program, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout.strip()

    run(EDGED_CLOUD, "load", str(registry), "--config", str(settings))
    sides.start_cloud()
    try:
        code = run(EDGED_CLOUD, "enrol", "--device-id", DEVICE, "--config", str(settings), "--site", SITE)
        run(EDGED, "enrol", "--config", str(pole), "--code", code)
        yield sides
    finally:
        sides.kill_cloud()


def kill_again_and_again(sides: Sides, kills: int, rng: Random) -> dict[str, int]:
    """Kill the pole or the cloud at random moments; return how often each."""
    counts = {"pole": 0, "cloud": 0}
    pause = threading.Event()
    while sum(counts.values()) < kills:
        with sides.pole() as pole:
            before = len(sides.named["arrived"])
            until(lambda before=before: len(sides.named["arrived"]) > before, "the pole writes", within_s=60)  # type: ignore[misc]
            # while the pole goes on, the cloud may die under it several times
            while rng.random() < 0.3 and sum(counts.values()) < kills - 1:
                pause.wait(rng.uniform(0, 0.5))
                sides.kill_cloud()
                counts["cloud"] += 1
                pause.wait(rng.uniform(0, 0.5))
                sides.start_cloud()
            pause.wait(rng.uniform(0, 0.5))
            assert pole.poll() is None, "the pole ended by itself"
        counts["pole"] += 1
    return counts


def deliver_the_rest(sides: Sides) -> None:
    """Run the pole without new visits until the cloud has everything."""
    with sides.pole(visits=0) as pole:
        until(lambda: pole.poll() is not None, "everything is delivered", within_s=600)
        assert pole.returncode == 0


def failures(sides: Sides) -> list[str]:
    """Compare the cloud's records with what the pole has named; return every way in which they differ."""
    with closing(sqlite3.connect(sides.folder / "cloud.db")) as db:
        visits = db.execute("SELECT visit_id, started_ms, ended_ms FROM visits").fetchall()
        readings = [row[0] for row in db.execute("SELECT visit_id FROM readings")]
        events = [row[0] for row in db.execute("SELECT event_id FROM events")]
    arrived = {visit_id for visit_id, started, _ended in visits if started is not None}
    left = {visit_id for visit_id, _started, ended in visits if ended is not None}
    found = {
        "arrivals lost": len(sides.named["arrived"] - arrived),
        "readings lost": len(sides.named["read"] - set(readings)),
        "departures lost": len(sides.named["left"] - left),
        "visits doubled": len(visits) - len({visit[0] for visit in visits}),
        "readings doubled": len(readings) - len(set(readings)),
        "events doubled": len(events) - len(set(events)),
        "arrivals that the pole never began": len(arrived) - len(sides.named["arrived"]) - sides.round_no,
    }
    return [f"{what}: {number}" for what, number in found.items() if number > 0]
