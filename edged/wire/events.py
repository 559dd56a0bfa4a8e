"""What a pole reports. An event is identified by `event_id`: delivering it twice changes nothing."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from edged.domain.berth import DriveCause
from edged.wire.base import BerthNo, Identifier, Payload, Sha256, UtcTime
from edged.wire.reading import ReadingView
from edged.wire.snapshot import Snapshot


class BerthState(StrEnum):
    """What the pole knows about a berth."""

    UNKNOWN = "unknown"
    VACANT = "vacant"
    OCCUPIED = "occupied"
    FAULT = "fault"
    OUT_OF_SERVICE = "out_of_service"


class _Happened(Payload):
    event_id: Identifier
    sequence: Annotated[int, Field(ge=1)]  # increases by device; gaps are allowed
    observed_at: UtcTime
    clock_synced: bool
    berth_no: BerthNo
    visit_id: Identifier
    # Of a boot that never knew the time: between which times this happened. A pole from before 2026-12 sends
    # none.
    not_before: UtcTime | None = None
    not_after: UtcTime | None = None


class DriveIn(_Happened):
    """驶入指令: a vehicle drove into a berth."""

    kind: Literal["drive_in"] = "drive_in"
    cause: DriveCause


class DriveOut(_Happened):
    """驶离指令: the vehicle of `visit_id` left its berth."""

    kind: Literal["drive_out"] = "drive_out"
    cause: DriveCause


class Reading(_Happened, ReadingView):
    """第一车牌: what the pole read; the latest reading of a visit counts."""

    kind: Literal["reading"] = "reading"
    evidence_sha256: Sha256 | None
    captured_at: UtcTime
    model_version: str


class SnapshotTaken(_Happened):
    """The answer to a capture request that was carried to the pole on a sync answer."""

    kind: Literal["snapshot"] = "snapshot"
    visit_id: Identifier | None  # type: ignore[assignment]  # a vacant berth has none
    request_id: Identifier
    snapshot: Snapshot | None  # None when the picture could not be taken
    error: str | None = None


Event = Annotated[DriveIn | DriveOut | Reading | SnapshotTaken, Field(discriminator="kind")]
