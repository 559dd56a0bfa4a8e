"""One process of the service, and its transactions. What callers ask of it is in `web.calls`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from cloud_endpoint.base.clock import Clock, system_clock
from cloud_endpoint.base.settings import CloudSettings
from cloud_endpoint.database import engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One transaction: its connection, the settings, and the time that it happens at."""

    connection: Connection
    settings: CloudSettings
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """It keeps nothing that another process would need."""

    engine: Engine
    settings: CloudSettings
    clock: Clock = system_clock
    wake: threading.Event = field(default_factory=threading.Event)  # there is work for the clockwork

    @contextmanager
    def writing(self) -> Iterator[Work]:
        """Run one transaction that commits at the end; raises DatabaseUnavailable."""
        with engine.writing(self.engine) as connection:
            yield Work(connection=connection, settings=self.settings, now_ms=self.clock())

    @contextmanager
    def reading(self) -> Iterator[Work]:
        """Run one transaction that only reads; raises DatabaseUnavailable."""
        with engine.reading(self.engine) as connection:
            yield Work(connection=connection, settings=self.settings, now_ms=self.clock())
