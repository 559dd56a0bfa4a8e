"""A server on real sockets that answers each request in one hostile way."""

import gzip
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

Act = Callable[["HostilePeer", socket.socket], None]

_MEGABYTE = bytes(1024 * 1024)


class HostilePeer:
    """`with HostilePeer(act) as peer:` answers at `peer.url` until the block ends."""

    def __init__(self, act: Act, tls: ssl.SSLContext | None = None) -> None:
        self._act = act
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self.ended = threading.Event()
        self.connections = 0

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> "HostilePeer":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        while self._threads:
            self._threads.pop().join()
        self._listener.close()

    def _accept(self) -> None:
        while not self.ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:  # the client has given up, as it should
            connection.settimeout(10)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                while request_of(connection) and not self.ended.is_set():
                    self._act(self, connection)


def request_of(connection: socket.socket) -> bytes:
    """Return one request, head and body; empty when the client has closed the connection."""
    with connection.makefile("rb") as file:
        head = file.readline()
        length = 0
        while (line := file.readline()) not in (b"\r\n", b""):
            head += line
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return head + file.read(length)


def sends(answer: bytes, *, then_close: bool = True) -> Act:
    """Send `answer`, whatever was asked."""

    def act(peer: HostilePeer, connection: socket.socket) -> None:
        connection.sendall(answer)
        if then_close:
            connection.shutdown(socket.SHUT_RDWR)

    return act


def whole(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return an answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def slowly(begin: bytes) -> Act:
    """Send `begin`, then a byte now and then, for ever: no single wait is long."""

    def act(peer: HostilePeer, connection: socket.socket) -> None:
        connection.sendall(begin)
        while not peer.ended.wait(0.03):
            connection.sendall(b"x")

    return act


def endlessly(begin: bytes, piece: bytes) -> Act:
    """Send `begin`, then `piece` as fast as the client takes it, for ever."""

    def act(peer: HostilePeer, connection: socket.socket) -> None:
        connection.sendall(begin)
        while not peer.ended.is_set():
            connection.sendall(piece)

    return act


def silence(peer: HostilePeer, connection: socket.socket) -> None:
    """Take the request and never answer."""
    peer.ended.wait()


def reset(peer: HostilePeer, connection: socket.socket) -> None:
    """End the connection with a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def gzip_bomb() -> bytes:
    """Return an answer of 300 kB that decompresses to 300 MB."""
    packed = gzip.compress(_MEGABYTE, compresslevel=9) * 300
    return whole(packed, "Content-Encoding: gzip")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG_BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 1500000000\r\n\r\n"
