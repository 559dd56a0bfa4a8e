"""`POST /v1/enrolments`: a box trades a one-time code for its credentials."""

from typing import Annotated

from pydantic import Field

from edged.wire.base import BerthNo, DeviceId, Payload

# What a bearer token may hold: visible ASCII, as HTTP headers carry it.
Token = Annotated[str, Field(pattern="^[!-~]{1,512}$")]


class EnrolmentRequest(Payload):
    """Sent once by `edged enrol`.

    `public_key` is the pole's Ed25519 key (32 bytes, hex) that signs its snapshots. `snapshot_url` and
    `snapshot_token` let the cloud pull snapshots; both None for a pole behind NAT.
    """

    code: Annotated[str, Field(min_length=8, max_length=64)]
    device_id: DeviceId
    public_key: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    berths: tuple[BerthNo, ...]
    snapshot_url: str | None = None
    snapshot_token: Token | None = None


class EnrolmentAnswer(Payload):
    """`token` is the bearer token of this device from now on; it is shown once."""

    device_id: DeviceId
    site_id: str
    token: Token
