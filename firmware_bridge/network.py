"""Links over TCP: transparent serial servers (`rtu+tcp://`) and Modbus TCP gateways (`tcp://`).

Both carry the bus's RTU frames, so that judging, traces and tools are the same as on a serial port. A gateway
gets each frame without its CRC behind an MBAP header; its replies are checked (transaction id, protocol,
length) and get a CRC again. One request is under way at a time: many gateways mix up more
(docs/decisions/0090).
"""

import errno
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from firmware_bridge.errors import PortError
from firmware_bridge.frames import crc_bytes
from firmware_bridge.settings import MODBUS_TCP_PORT, BusSettings

_CONNECT_S = 3.0
_CHUNK_BYTES = 4096
_DEAD_AFTER_MS = 10_000  # unacknowledged data: the far end is gone, or the way to it
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
# A connection can live on while nothing behind it does: some serial servers lose their session that way.
_SILENT_REQUESTS = 8
_SILENT_S = 15.0
_HEADER_BYTES = 7
_LONGEST_PDU_BYTES = 253


class SocketLine:
    """A connection that carries RTU frames as they are."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self._connection = connection
        self._name = name
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._unanswered = 0
        self._heard_s = time.monotonic()

    def send(self, frame: bytes) -> None:
        """Hand a whole frame to the connection. Raises PortError."""
        now_s = time.monotonic()
        if self._unanswered >= _SILENT_REQUESTS and now_s - self._heard_s > _SILENT_S:
            remedy = (
                "it is opened again by itself; if it stays silent, look at the gateway and its serial side"
            )
            raise PortError(f"{self._name} has sent nothing for {_SILENT_S:.0f} s", remedy)
        self._unanswered += 1
        try:
            self._connection.sendall(frame)
        except OSError as exc:
            raise network_error(exc, self._name) from exc

    def read(self, until_s: float, not_before_s: float = 0.0) -> bytes:
        """As Line.read: the characters that have arrived."""
        wait_s = not_before_s - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        wait_s = until_s - time.monotonic()
        if not self._poll.poll(max(0.0, 1000 * wait_s)):
            return b""
        try:
            data = self._connection.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return b""
        except OSError as exc:
            raise network_error(exc, self._name) from exc
        if not data:
            remedy = (
                "it is opened again by itself; many gateways allow one connection only: end other programs"
            )
            raise PortError(f"{self._name} closed the connection", remedy)
        self._unanswered, self._heard_s = 0, time.monotonic()
        return data

    def intrusion(self, *, is_failing: bool) -> str:
        return ""


class GatewayLine:
    """A Modbus TCP gateway that looks like a line of RTU frames."""

    def __init__(self, inner: SocketLine, name: str) -> None:
        self._inner = inner
        self._name = name
        self._transaction_id = 0
        self._waiting = b""

    def send(self, frame: bytes) -> None:
        """Send a frame behind a header with a transaction id of its own. Raises PortError."""
        self._transaction_id = self._transaction_id % 0xFFFF + 1
        body = frame[:-2]
        header = self._transaction_id.to_bytes(2) + b"\0\0" + len(body).to_bytes(2)
        self._inner.send(header + body)

    def read(self, until_s: float, not_before_s: float = 0.0) -> bytes:
        """As Line.read; only the reply to the last request, as the RTU frame that it would have been."""
        while True:
            self._waiting += self._inner.read(until_s, not_before_s)
            found, is_any = b"", False
            while (message := self._next_message()) is not None:
                is_any = True
                if int.from_bytes(message[:2]) == self._transaction_id:
                    found += message[6:] + crc_bytes(message[6:])
            if found or not is_any or time.monotonic() >= until_s:
                return found

    def intrusion(self, *, is_failing: bool) -> str:
        return ""

    def _next_message(self) -> bytes | None:
        """The next whole message. Raises PortError where the stream is none of Modbus TCP."""
        data = self._waiting
        if len(data) < _HEADER_BYTES:
            return None
        protocol, length = int.from_bytes(data[2:4]), int.from_bytes(data[4:6])
        if protocol != 0 or not 2 <= length <= _LONGEST_PDU_BYTES + 1:
            remedy = "is it a transparent serial server? then write rtu+tcp:// instead of tcp://"
            raise PortError(f"{self._name} does not speak Modbus TCP (got {data[:8].hex(' ')})", remedy)
        if len(data) < 6 + length:
            return None
        self._waiting = data[6 + length :]
        return data[: 6 + length]


@contextmanager
def open_network_line(settings: BusSettings) -> Iterator[SocketLine | GatewayLine]:
    """Connect to the bus's serial server or gateway. Raises PortError."""
    parts = urlsplit(settings.port)
    is_gateway = parts.scheme == "tcp"
    host, port = str(parts.hostname), parts.port or MODBUS_TCP_PORT
    with connected(_resolved(host, port, settings.port), settings.port) as connection:
        _notice_death(connection)
        line = SocketLine(connection, settings.port)
        yield GatewayLine(line, settings.port) if is_gateway else line


def connected(addresses: Sequence[tuple[str, int]], name: str) -> socket.socket:
    """Return a connection to the first of `addresses` that accepts. Raises PortError about the port `name`.

    A name may have an IPv6 address that nobody routes. All addresses share the time of one connection.
    """
    last: OSError | None = None
    for address in addresses:
        try:
            return socket.create_connection(address, timeout=_CONNECT_S / len(addresses))
        except OSError as exc:
            last = exc
    assert last is not None  # there is at least one address
    raise network_error(last, name) from last


def _resolved(host: str, port: int, name: str) -> list[tuple[str, int]]:
    """Return the addresses of a host. A resolver can hang longer than a bus thread may: it gets a thread."""
    found: list[tuple[str, int]] = []

    def resolve() -> None:
        with suppress(OSError):
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend((str(address[0]), port) for *_, address in answers)

    # daemon: at exit the process must not wait for a name server
    thread = threading.Thread(target=resolve, name=f"resolve {host}", daemon=True)
    thread.start()
    thread.join(_CONNECT_S)
    if not found:
        raise PortError(f"{name}: {host} is not known", "write the gateway's IP address, or check the DNS")
    return found


def _notice_death(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MS)


def network_error(exc: OSError, name: str) -> PortError:
    """The one place where errors of a connection get names and remedies."""
    if isinstance(exc, TimeoutError) or exc.errno == errno.ETIMEDOUT:
        return PortError(f"{name} does not answer", "check the gateway's power, network cable and address")
    match exc.errno:
        case errno.ECONNREFUSED:
            return PortError(f"{name} refuses the connection", "check the TCP port in the gateway's settings")
        case errno.EHOSTUNREACH | errno.ENETUNREACH | errno.ENETDOWN:
            return PortError(f"{name} cannot be reached", "check the box's network and the gateway's address")
        case errno.ECONNRESET | errno.EPIPE | errno.ECONNABORTED:
            remedy = (
                "it is opened again by itself; many gateways allow one connection only: end other programs"
            )
            return PortError(f"{name} broke the connection", remedy)
        case _:
            return PortError(f"{name} failed ({exc})", "check the gateway and the bus's port")
