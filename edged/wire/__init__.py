"""Payloads shared by pole and cloud, versioned.

`events` are what a pole reports, `sync` is the exchange that delivers them and carries requests
back, `snapshot` is what the cloud pulls, `enrolment` is how a box gets its credentials, and
`signing` is how a pole signs.
"""

from edged.domain.berth import DriveCause
from edged.wire.enrolment import EnrolmentAnswer, EnrolmentRequest
from edged.wire.events import BerthState, DriveIn, DriveOut, Event, Reading, SnapshotTaken
from edged.wire.reading import ReadingView
from edged.wire.snapshot import Snapshot
from edged.wire.sync import (
    BerthStatus,
    CaptureRequest,
    DeviceHealth,
    EventVerdict,
    SyncAnswer,
    SyncRequest,
    Verdict,
)

WIRE_VERSION = 1

__all__ = [
    "WIRE_VERSION",
    "BerthState",
    "BerthStatus",
    "CaptureRequest",
    "DeviceHealth",
    "DriveCause",
    "DriveIn",
    "DriveOut",
    "EnrolmentAnswer",
    "EnrolmentRequest",
    "Event",
    "EventVerdict",
    "Reading",
    "ReadingView",
    "Snapshot",
    "SnapshotTaken",
    "SyncAnswer",
    "SyncRequest",
    "Verdict",
]
