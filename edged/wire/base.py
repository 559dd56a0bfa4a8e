"""What all payloads have in common."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

from edged.domain.berth import BERTH_NO_PATTERN

UtcTime = AwareDatetime
BerthNo = Annotated[str, StringConstraints(pattern=BERTH_NO_PATTERN)]
DEVICE_ID_PATTERN = r"^[0-9A-Za-z_.-]{1,64}$"
DeviceId = Annotated[str, StringConstraints(pattern=DEVICE_ID_PATTERN)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]{8,64}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Payload(BaseModel):
    """Immutable; unknown fields are ignored, so that an older peer understands a newer one."""

    model_config = ConfigDict(frozen=True, extra="ignore")
