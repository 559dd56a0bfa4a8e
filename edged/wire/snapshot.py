"""泊位车牌快照: what a pole answers when the cloud asks what stands in a berth."""

from typing import Annotated

from pydantic import Field

from edged.wire.base import BerthNo, DeviceId, Identifier, Payload, Sha256, UtcTime
from edged.wire.reading import ReadingView


class Snapshot(Payload):
    """State and reading of one berth, bound to the asker's nonce and signed by the pole.

    `reading` is None when the visit has not been read yet.
    `captured_at` is when the picture behind the reading was taken; `signed_at` when this answer was
    made. `signature` covers everything else (see `signing`).
    """

    device_id: DeviceId
    berth_no: BerthNo
    state: str  # a BerthState value
    visit_id: Identifier | None
    reading: ReadingView | None
    evidence_sha256: Sha256 | None
    captured_at: UtcTime | None
    signed_at: UtcTime
    nonce: Annotated[str, Field(min_length=8, max_length=64)]
    signature: str = ""
