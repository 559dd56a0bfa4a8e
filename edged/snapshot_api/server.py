"""Runs the API in the calling thread, under the daemon's own stop event."""

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

import uvicorn
from fastapi import FastAPI

from edged.domain.trouble import TroubleError
from edged.settings import SnapshotApiSettings

_BACKLOG = 64
_SHUTDOWN_S = 3


class ListenError(TroubleError):
    """The address cannot be listened on."""


def listening_socket(settings: SnapshotApiSettings) -> socket.socket:
    """Return a socket bound to the configured address. Raises ListenError."""
    where = f"{settings.listen}:{settings.port}"
    try:
        family, *_, address = socket.getaddrinfo(
            settings.listen, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise ListenError(
            f"snapshot_api: {where}", str(error.strerror), "set snapshot_api.listen to an address of this box"
        ) from error
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        remedy = {
            errno.EADDRINUSE: f"stop the program that uses the port (ss -ltnp 'sport = :{settings.port}'), "
            "or set snapshot_api.port",
            errno.EADDRNOTAVAIL: "set snapshot_api.listen to an address of this box (ip addr)",
            errno.EACCES: "ports below 1024 need root; set snapshot_api.port",
        }.get(error.errno or 0, "check snapshot_api.listen and snapshot_api.port")
        raise ListenError(f"snapshot_api: {where}", str(error.strerror), remedy) from error
    return listening


def serve(
    app: FastAPI, listening: socket.socket, stop: Event, on_tick: Callable[[], None] = lambda: None
) -> None:
    """Serve until `stop` is set; requests under way get a few seconds. Closes the socket.

    `on_tick` is called ten times a second while the event loop lives.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=_SHUTDOWN_S,
        limit_concurrency=64,
    )
    try:
        _Server(config, stop, on_tick).run(sockets=[listening])
    finally:
        listening.close()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the supervisor decides when to stop."""

    def __init__(self, config: uvicorn.Config, stop: Event, on_tick: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop
        self._on_tick = on_tick

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        self._on_tick()
        return self._stop.is_set() or await super().on_tick(counter)
