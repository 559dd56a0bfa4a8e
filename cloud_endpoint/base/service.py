"""One process of the service: what every call works with. The calls themselves are in `web.calls`."""

import threading
from dataclasses import dataclass, field

from sqlalchemy import Engine

from cloud_endpoint.base.clock import Clock, system_clock
from cloud_endpoint.base.settings import CloudSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """It keeps nothing that another process would need."""

    engine: Engine
    settings: CloudSettings
    clock: Clock = system_clock
    wake: threading.Event = field(default_factory=threading.Event)  # there is work for the clockwork
