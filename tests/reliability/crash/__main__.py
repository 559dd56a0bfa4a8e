"""`python -m tests.reliability.crash [--kills 500] [--seed 7]`: pole and cloud are killed while they talk.

The pole commits visits and delivers them; pole or cloud is killed (SIGKILL) at a random moment and started
again. At the end the cloud has to have every arrival, reading and departure that was named as committed,
once. The last line is JSON; exit status 1 when something was lost or doubled.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.reliability.crash.sides import both_sides, deliver_the_rest, failures, kill_again_and_again


def main() -> int:
    """Kill as often as asked; print the verdict as one JSON line."""
    parser = argparse.ArgumentParser(prog="crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edged-crash-") as folder, both_sides(Path(folder)) as sides:
        counts = kill_again_and_again(sides, arguments.kills, Random(arguments.seed))
        deliver_the_rest(sides)
        broken = failures(sides)
    verdict = {
        "crash": "failed" if broken else "passed",
        "kills_of_the_pole": counts["pole"],
        "kills_of_the_cloud": counts["cloud"],
        **{f"{word}_named": len(visit_ids) for word, visit_ids in sides.named.items()},
        "failures": broken,
        "took_s": round(time.monotonic() - began_s),
    }
    print(json.dumps(verdict))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
