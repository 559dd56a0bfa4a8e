"""`python -m tests.reliability.soak [--minutes 60]`: 2,000 visits an hour, with faults of every part.

The daemon, the cloud, the bus and the cameras are processes of their own. There are six parts. At the end of
each the street is empty, nothing waits, and what the daemon uses is looked at. The first part is the warm-up;
the others are compared with it. The last line is JSON; exit status 1 when a visit was lost, doubled or read
wrongly, or something leaked.
"""

import argparse
import io
import json
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from rich.console import Console

from edged.demo.cars import invented_cars
from edged.demo.processes import DemoFailure, Processes
from edged.demo.street import Street, start_street
from edged.demo.timeline import Timeline
from tests.reliability.soak.faults import Faults
from tests.reliability.soak.pole import SoakFiles, eight_berths, small_disk
from tests.reliability.soak.traffic import BerthTraffic, Traffic
from tests.reliability.soak.usage import Usage, lowest
from tests.reliability.soak.verdict import verdict

VISITS_PER_MINUTE = 2000 / 60
PARTS = 6
TICK_S = 0.25
LOOK_EVERY_S = 2.0
PAUSE_S = 12.0
EMPTY_WITHIN_S = 300.0


class Soak:
    """The run: traffic and faults in one loop, so that it needs little of the machine."""

    def __init__(self, street: Street, edged_pid: int, cloud_pid: int, disk: Path | None) -> None:
        self._street = street
        self._pid = edged_pid
        cars = invented_cars(11)
        self.traffic = Traffic(
            street.hardware,
            [BerthTraffic(berth.berth_no, tuple(islice(cars, 2))) for berth in eight_berths()],
        )
        self.faults = Faults(street, cloud_pid, disk)
        self.pauses: list[Usage] = []
        self.peak_rss_kib = 0

    def run(self, minutes: float) -> None:
        """Play all parts."""
        count = round(VISITS_PER_MINUTE * minutes)
        for part in range(1, PARTS + 1):
            self._part(time.monotonic() + minutes * 60 / PARTS, round(count * part / PARTS))
            self.pauses.append(self._pause())
            seen, look = len(self.traffic.shown), self.pauses[-1]
            print(f"part {part}: {seen} visits, {look}, faults {dict(self.faults.counts)}", flush=True)

    def _part(self, end_s: float, most: int) -> None:
        """Let cars come until `most` came in all, faults until that or the end; leave the street empty."""
        while not (self._has_come(most) and time.monotonic() >= end_s and self.traffic.is_empty):
            now_s = time.monotonic()
            if now_s > end_s + EMPTY_WITHIN_S:
                self.traffic.failures.append(
                    f"{most} visits were not over {EMPTY_WITHIN_S:g} s after their time"
                )
                break
            if now_s < end_s:
                self.faults.step(now_s)
            else:
                self.faults.mend()
            self.traffic.go(self._street.berths(), now_s, most)
            self.peak_rss_kib = max(self.peak_rss_kib, Usage.of(self._pid, now_s).rss_kib)
            time.sleep(TICK_S)
        self.faults.mend()

    def _has_come(self, most: int) -> bool:
        return sum(berth.count for berth in self.traffic.berths) >= most

    def _pause(self) -> Usage:
        """Wait until nothing is under way; return what is in use then."""
        self._street.processes.wait_until(
            lambda: self._street.outbox()["waiting"] == 0,
            within_s=EMPTY_WITHIN_S,
            what="all events delivered",
            process="edged",
        )
        looks = []
        end_s = time.monotonic() + PAUSE_S
        while (now_s := time.monotonic()) < end_s:
            looks.append(Usage.of(self._pid, now_s))
            time.sleep(LOOK_EVERY_S)
        return lowest(looks)


def main() -> int:
    """Run the soak; print the verdict as one JSON line."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--logs", type=Path, default=Path("soak-output"), help="where the programs' logs go")
    arguments = parser.parse_args()
    began_s = time.monotonic()
    timeline = Timeline(Console(file=io.StringIO(), width=200))
    arguments.logs.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="edged-soak-") as run,
        small_disk(Path(run) / "store") as disk,
        Processes(arguments.logs) as processes,
    ):
        files = SoakFiles(folder=arguments.logs, run=Path(run), berths=eight_berths(), seed=7)
        street = start_street(processes, timeline, files, [], with_polygons=True)
        soak = Soak(street, processes.pid_of("edged"), processes.pid_of("cloud"), disk)
        try:
            soak.run(arguments.minutes)
        except (DemoFailure, OSError) as failure:
            soak.traffic.failures.append(str(failure))
        result = verdict(
            soak.traffic,
            soak.pauses,
            store=Path(run) / "store",
            cloud=Path(run) / "cloud.db",
            minutes=arguments.minutes,
        )
    result |= {
        "peak_rss_mib": round(soak.peak_rss_kib / 1024, 1),
        "faults": dict(soak.faults.counts),
        "disk_faults": disk is not None,
        "took_s": round(time.monotonic() - began_s),
    }
    print(json.dumps(result, ensure_ascii=False))
    return 1 if result["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
