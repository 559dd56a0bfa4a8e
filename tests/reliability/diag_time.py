"""`python -m tests.reliability.diag_time`: how long `edged diag` takes while all cameras are silent.

A simulated pole with four cameras; with the daemon running, and after it was stopped. The last line is JSON;
exit status 1 when the first line came after 1.5 s or the last after 15 s.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from edged.demo.processes import Processes
from edged.demo.street import EDGED, start_street
from edged.demo.timeline import Timeline
from tests.reliability.soak.pole import SoakFiles, eight_berths

FIRST_LINE_S = 1.5
LAST_LINE_S = 15.0


def timed(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return the seconds to its first line, of CPU time until then, and to its end."""
    began_s = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        first_s = time.monotonic() - began_s
        cpu_s = cpu_time_s(process.pid)
        process.stdout.read()
    return first_s, cpu_s, time.monotonic() - began_s


def cpu_time_s(pid: int) -> float:
    """Return the CPU time that a process has used: on a busy machine it says more than the clock."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure; print one JSON line."""
    parser = argparse.ArgumentParser(prog="diag_time", description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    result: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="edged-diag-") as folder, Processes(Path(folder)) as processes:
        run = Path(folder) / "run"
        run.mkdir()
        files = SoakFiles(folder=Path(folder), run=run, berths=eight_berths(), seed=7)
        timeline = Timeline(Console(file=io.StringIO(), width=200))
        street = start_street(processes, timeline, files, [], with_polygons=True)
        street.hardware.camera_fault("silent")
        for daemon in ("running", "stopped"):
            if daemon == "stopped":
                processes.kill("edged")
            took = [timed([EDGED, "diag", "--config", str(street.config)]) for _ in range(times)]
            result[f"first_line_s_daemon_{daemon}"] = round(max(first for first, _, _ in took), 2)
            result[f"cpu_s_until_then_daemon_{daemon}"] = round(max(cpu for _, cpu, _ in took), 2)
            result[f"end_s_daemon_{daemon}"] = round(max(end for _, _, end in took), 2)
    late = {
        what: value
        for what, value in result.items()
        if value > (FIRST_LINE_S if what.startswith("first") else LAST_LINE_S)
    }
    print(json.dumps({"diag": "failed" if late else "passed", "worst_of": times, **result, "late": late}))
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
