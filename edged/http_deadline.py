"""A deadline for a whole HTTP exchange: the timeout of a socket never ends a peer that drips its answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from requests.adapters import HTTPAdapter


class DeadlineAdapter(HTTPAdapter):
    """Knows its connections' sockets, so that they can be shut from another thread; mount it on a session."""

    def __init__(self) -> None:
        super().__init__()
        self._socket: socket.socket | None = None

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool, whose connections tell us their sockets."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if not hasattr(pool.ConnectionCls, "notes_its_socket"):
            pool.ConnectionCls = self._noting(pool.ConnectionCls)
        return pool

    @contextmanager
    def within(self, deadline_s: float) -> Iterator[threading.Event]:
        """Shut the connection when the block lasts longer; the event yielded tells that it was."""
        passed = threading.Event()
        timer = threading.Timer(deadline_s, self._shut, args=(passed,))
        timer.start()
        try:
            yield passed
        finally:
            timer.cancel()

    def _shut(self, passed: threading.Event) -> None:
        passed.set()
        if self._socket is not None:
            with suppress(OSError):  # gone already
                self._socket.shutdown(socket.SHUT_RDWR)

    def _noting(self, base: type[Any]) -> type[Any]:
        adapter = self

        class Noting(base):  # type: ignore[misc]  # HTTPConnection or HTTPSConnection
            notes_its_socket = True

            def connect(self) -> None:
                super().connect()
                adapter._socket = self.sock

        return Noting
