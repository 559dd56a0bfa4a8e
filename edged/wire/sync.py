"""`POST /v1/devices/{device_id}/events`: a batch of events up; verdicts and requests down."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from edged.wire.base import BerthNo, Identifier, Payload, UtcTime
from edged.wire.events import BerthState


class BerthStatus(Payload):
    """One berth as the pole knows it now."""

    berth_no: BerthNo
    state: BerthState
    visit_id: Identifier | None = None


class DeviceHealth(Payload):
    """`status` is ok, degraded or failed; `problems` are one line each, with cause and next action."""

    status: Annotated[str, Field(pattern="^(ok|degraded|failed)$")]
    problems: tuple[str, ...] = ()


class SyncRequest(Payload):
    """Events are plain objects here: one that the cloud cannot parse is rejected alone, not the batch."""

    wire_version: int
    sent_at: UtcTime
    clock_synced: bool
    software_version: str
    health: DeviceHealth
    berths: tuple[BerthStatus, ...]
    events: tuple[dict[str, Any], ...]


class Verdict(StrEnum):
    """What became of an event."""

    ACCEPTED = "accepted"  # durable at the cloud, or already known: the pole forgets it
    REJECTED = "rejected"  # will never be accepted: the pole sets it aside, for a technician
    KEEP = "keep"  # not now: the pole sends it again


class EventVerdict(Payload):
    event_id: str
    verdict: Verdict
    reason: str | None = None


class CaptureRequest(Payload):
    """Take a new picture of a berth; answered by a `SnapshotTaken` event, or dropped after `expires_at`."""

    request_id: Identifier
    berth_no: BerthNo
    nonce: Annotated[str, Field(min_length=8, max_length=64)]
    expires_at: UtcTime


class SyncAnswer(Payload):
    """`wanted_evidence` are hashes of pictures to upload; `poll_after_s` is when to sync again if idle."""

    verdicts: tuple[EventVerdict, ...]
    capture_requests: tuple[CaptureRequest, ...] = ()
    wanted_evidence: tuple[str, ...] = ()
    server_time: UtcTime
    poll_after_s: float | None = None
