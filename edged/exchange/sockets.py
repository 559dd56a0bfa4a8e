"""Connections whose every step (lookup, connect, TLS, send, receive) ends at the exchange's deadline."""

import socket
import ssl
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ProtocolError
from urllib3.util.ssl_ import create_urllib3_context

from edged.exchange.deadline import current
from edged.exchange.names import addresses_of


class _Timed:
    """Sets the timeout anew before each step; http.client receives with `recv_into` only."""

    def recv_into(self, *args: Any) -> int:
        self.settimeout(current().step_s())  # type: ignore[attr-defined]
        received: int = super().recv_into(*args)  # type: ignore[misc]
        return received

    def send(self, *args: Any) -> int:
        self.settimeout(current().step_s())  # type: ignore[attr-defined]
        sent: int = super().send(*args)  # type: ignore[misc]
        return sent

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send piece by piece: a picture on a slow line takes longer than one step may wait."""
        left = memoryview(data).cast("B")
        while left:
            left = left[self.send(left, flags) :]


class TimedSocket(_Timed, socket.socket):
    """A TCP socket of an exchange."""


class TimedTlsSocket(_Timed, ssl.SSLSocket):
    """A TLS socket of an exchange."""

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(current().step_s())
        super().do_handshake(block)


class TimedHttpConnection(HTTPConnection):
    """urllib3's connection on a timed socket."""

    def _new_conn(self) -> socket.socket:
        return _connected(self)


class TimedHttpsConnection(HTTPSConnection):
    """urllib3's TLS connection on a timed socket; certificates are checked as urllib3 does by default."""

    def _new_conn(self) -> socket.socket:
        return _connected(self)

    def connect(self) -> None:
        if self.ssl_context is None:
            self.ssl_context = create_urllib3_context()
            self.ssl_context.sslsocket_class = TimedTlsSocket
        super().connect()


def _connected(connection: HTTPConnection) -> TimedSocket:
    """Connect to the first address that accepts; the addresses share the time that is left."""
    deadline = current()
    host = connection._dns_host
    addresses = addresses_of(host, connection.port, deadline.step_s())
    last: OSError = OSError(f"no address for {host}")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        opened = TimedSocket(family, kind, protocol)
        try:
            for option in connection.socket_options or ():
                opened.setsockopt(*option)
            opened.settimeout(deadline.step_s() / (len(addresses) - tried))
            opened.connect(address)
        except OSError as exc:
            opened.close()
            last = exc
        else:
            return opened
    if isinstance(last, (ConnectionResetError, BrokenPipeError)):
        # urllib3 ignores these (a server may answer before it has read all), and goes on without a socket
        raise ProtocolError("the connection broke while it was made", last) from last
    raise last
