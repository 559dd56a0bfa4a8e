"""An arrival once committed is never lost and reaches the cloud exactly once in effect."""

import subprocess
import sys
from pathlib import Path
from random import Random

from fault_cloud import Fault, FaultCloud

BOX = Path(__file__).with_name("killed_box.py")
ROUNDS = 3
# without those that cost their whole timeout, for the test's sake
NASTY = (
    Fault.NONE,
    Fault.NONE,
    Fault.SERVER_ERROR,
    Fault.STORED_THEN_ERROR,
    Fault.STORED_THEN_SILENCE,
    Fault.HALF,
    Fault.TWICE,
    Fault.PORTAL,
)


def lines_of_box(directory: Path, url: str, round_no: int, count: int, kill_after: int | None) -> list[str]:
    """Run the box until it is done, or kill -9 it after so many lines; return what it said."""
    command = [sys.executable, str(BOX), str(directory), url, str(round_no), str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    lines: list[str] = []
    try:
        for line in process.stdout:
            # structlog's lines go to the same place
            if line.startswith(("arrived ", "done")):
                lines.append(line.strip())
            if len(lines) == kill_after:
                process.kill()
    finally:
        if kill_after is not None:
            process.kill()
        process.wait(30)
        process.stdout.close()
    return lines


def test_killed_again_and_again_under_a_nasty_cloud_each_arrival_is_there_once(
    cloud: FaultCloud, url: str, tmp_path: Path
) -> None:
    rng = Random(5)
    acknowledged: set[str] = set()
    for round_no in range(ROUNDS):
        with cloud.changed:
            cloud.plan.extend(rng.choice(NASTY) for _ in range(6))
        lines = lines_of_box(tmp_path, url, round_no, 400, kill_after=rng.randrange(30, 300))
        acknowledged |= {line.split()[1] for line in lines if line != "done"}
    last = lines_of_box(tmp_path, url, ROUNDS, 3, kill_after=None)
    assert last[-1] == "done"
    acknowledged |= {line.split()[1] for line in last[:-1]}
    arrived = [event["visit_id"] for event in cloud.accepted.values()]
    assert len(arrived) == len(set(arrived))
    # killed between the commit and the word of it, an arrival may be there that was never said
    assert acknowledged <= set(arrived)
    assert len(arrived) <= len(acknowledged) + ROUNDS
