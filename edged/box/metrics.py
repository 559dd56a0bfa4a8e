"""The metrics for Prometheus, on the snapshot API's /metrics. Counters count since the daemon started."""

from prometheus_client import Counter, Gauge, Histogram

ARRIVALS = Counter("edged_drive_in", "Drive-in instructions issued", ["cause"])
DEPARTURES = Counter("edged_drive_out", "Drive-out instructions issued", ["cause"])
UNSEEN = Counter("edged_unseen_arrivals", "Vehicles counted that came and left between two looks", ["berth"])
READINGS = Counter("edged_readings", "Readings made of bursts", ["outcome"])  # accepted, doubtful, no_plate
CAPTURE_ERRORS = Counter("edged_capture_errors", "Bursts that gave no picture", ["camera", "fault"])
DROPS = Counter("edged_drops", "Work dropped because a bounded queue was full", ["queue"])
HEALTH = Gauge("edged_health", "0 ok, 1 degraded, 2 failed")
CONTACT_TO_DRIVE_IN = Histogram(
    "edged_contact_to_drive_in_seconds",
    "From first contact to the committed drive-in instruction, settle time included",
    buckets=(0.5, 1, 1.5, 2, 3, 5, 10, 30),
)
DRIVE_IN_TO_READING = Histogram(
    "edged_drive_in_to_reading_seconds",
    "From the drive-in instruction to the committed first plate",
    buckets=(0.5, 1, 2, 3, 5, 10, 30, 60),
)
