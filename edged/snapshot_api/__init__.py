"""The local HTTP API: the cloud pulls berths, snapshots and evidence; monitoring reads health and metrics."""

from edged.snapshot_api.app import create_app
from edged.snapshot_api.pole import (
    CaptureFailedError,
    Pole,
    PoleError,
    RecordsUnavailableError,
    UnknownBerthError,
)
from edged.snapshot_api.server import ListenError, listening_socket, serve

__all__ = [
    "CaptureFailedError",
    "ListenError",
    "Pole",
    "PoleError",
    "RecordsUnavailableError",
    "UnknownBerthError",
    "create_app",
    "listening_socket",
    "serve",
]
