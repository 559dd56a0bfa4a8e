"""`python -m tests.reliability.powercut [--cuts 20] [--seed 7]`: the power is cut while the store writes.

A QEMU guest (TCG) writes arrivals to its own disk and names each one that is committed. It is killed at a
random moment, the disk loses what it was never made to keep, and the next boot has to show every named
arrival once. The last line is JSON; exit status 1 when something was lost or doubled.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.reliability.powercut.disk import CACHE_MODE, Disk
from tests.reliability.powercut.machine import Boot, GuestFailure, Kernel, Missing
from tests.reliability.powercut.promise import Promise

# One cut in five comes while the store opens: recovery is interrupted too.
WHILE_OPENING = 5
MOST_LINES = 120
MOST_OPENING_S = 2.0


def main() -> int:
    """Cut the power as often as asked; print the verdict as one JSON line."""
    parser = argparse.ArgumentParser(prog="powercut", description=__doc__)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--kernel", type=Path, default=Path(".powercut"), help="where the guest is kept")
    arguments = parser.parse_args()
    began_s = time.monotonic()
    try:
        kernel = Kernel.prepared(arguments.kernel)
    except Missing as missing:
        print(json.dumps({"powercut": "skipped", "reason": str(missing)}))
        return 0
    promise, rng = Promise(), Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="edged-powercut-") as folder:
        disk = Disk.formatted(Path(folder))
        try:
            for number in range(arguments.cuts):
                _cut(kernel, disk, promise, number, rng)
                print(
                    f"cut {number + 1}: {promise.summary()}, {disk.lost} sectors lost",
                    flush=True,
                )
            with Boot(kernel, disk, number=arguments.cuts, log=Path(folder) / "console.log") as boot:
                promise.hold(boot.report())
        except GuestFailure as failure:
            promise.failures.append(str(failure))
    verdict = {
        "powercut": "failed" if promise.failures else "passed",
        "cuts": promise.cuts,
        **promise.counts(),
        "cache": CACHE_MODE,
        "sectors_lost_by_the_disk": disk.lost_in_all,
        "failures": promise.failures,
        "took_s": round(time.monotonic() - began_s),
    }
    print(json.dumps(verdict))
    return 1 if promise.failures else 0


def _cut(kernel: Kernel, disk: Disk, promise: Promise, number: int, rng: Random) -> None:
    """Boot, hold what is there against what was named before, let it write, cut the power."""
    disk.begin_log()
    with Boot(kernel, disk, number=number, log=disk.folder / "console.log") as boot:
        if number % WHILE_OPENING == WHILE_OPENING - 1:
            boot.wait_for("opening")
            time.sleep(rng.uniform(0, MOST_OPENING_S))
        else:
            promise.hold(boot.report())
            for _ in range(rng.randrange(5, MOST_LINES)):
                promise.name(boot.line())
        boot.cut()
        for line in boot.rest():
            promise.name(line)
    promise.cuts += 1
    disk.lose_power(rng)


if __name__ == "__main__":
    sys.exit(main())
