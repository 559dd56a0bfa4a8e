"""What the soak has shown: every visit once at box and cloud, no wrong plate, nothing leaked."""

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

from edged.demo.site_files import DEVICE
from edged.store import Archive
from tests.reliability.soak.traffic import Traffic
from tests.reliability.soak.usage import Usage, growth_mib_per_h

MOST_VISITS = 1_000_000
MOST_GROWTH_MIB_PER_H = 1.0
# Connections that the pole keeps open to cloud and cameras come and go; a leak by fault or visit is far more.
SPARE_DESCRIPTORS = 2
# Shorter runs say too little about an hour.
SHORTEST_TO_JUDGE_MIN = 30.0


def verdict(
    traffic: Traffic, pauses: list[Usage], *, store: Path, cloud: Path, minutes: float
) -> dict[str, Any]:
    """Return the verdict; `failures` is empty when all went well."""
    with Archive.open_existing(store) as archive:
        visits = {visit.visit_id: visit for visit in archive.visits(MOST_VISITS)}
    with sqlite3.connect(f"file:{cloud}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT visit_id FROM visits WHERE device_id = ?", (DEVICE,)).fetchall()
    at_cloud = Counter(visit_id for (visit_id,) in rows)
    shown = traffic.shown
    read = {
        visit_id: visit.reading.reading.text
        for visit_id, visit in visits.items()
        if visit.reading and visit.reading.reading and visit.reading.reading.accepted
    }
    found = {
        "lost_at_the_box": len(shown.keys() - visits.keys()),
        "lost_at_the_cloud": len(visits.keys() - at_cloud.keys()),
        "doubled_at_the_cloud": sum(count - 1 for count in at_cloud.values()),
        "visits_of_no_car": len((visits.keys() | at_cloud.keys()) - shown.keys()),
        "wrong_plates_accepted": sum(read[v] != plate for v, plate in shown.items() if v in read),
        **_leaks(pauses),
    }
    growth = growth_mib_per_h(pauses[1:])
    failures = [*traffic.failures, *(f"{what}: {count}" for what, count in found.items() if count)]
    if growth is not None and growth >= MOST_GROWTH_MIB_PER_H and minutes >= SHORTEST_TO_JUDGE_MIN:
        failures.append(f"memory grows by {growth} MiB an hour")
    return {
        "soak": "failed" if failures else "passed",
        "minutes": minutes,
        "visits": len(shown),
        "read": len(read.keys() & shown.keys()),
        **found,
        "rss_mib_at_pauses": [round(look.rss_kib / 1024, 1) for look in pauses],
        "growth_mib_per_h": growth,
        "growth_judged": minutes >= SHORTEST_TO_JUDGE_MIN,
        "failures": failures,
    }


def _leaks(pauses: list[Usage]) -> dict[str, int]:
    if len(pauses) < 2:
        return {}
    first, last = pauses[0], pauses[-1]
    descriptors = last.descriptors - first.descriptors
    return {
        "threads_leaked": max(0, last.threads - first.threads),
        "children_leaked": max(0, last.children - first.children),
        "descriptors_leaked": descriptors if descriptors > SPARE_DESCRIPTORS else 0,
    }
