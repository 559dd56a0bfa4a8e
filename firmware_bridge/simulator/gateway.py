"""Simulated devices behind a Modbus TCP gateway: one connection at a time, each reply after a latency."""

import select
import socket
import threading
import time
from collections.abc import Callable, Iterable
from random import Random

from firmware_bridge.serial_port import sharpen_timers
from firmware_bridge.simulator.device import SimulatedDevice

_NO_ANSWER = 11
_LONGEST_WAIT_S = 0.05  # how soon a stop is noticed


class TcpGateway:
    """`run` serves until `stop`; `port` is known from the start. An absent unit gets exception 11."""

    def __init__(
        self,
        devices: Iterable[SimulatedDevice],
        *,
        latency_s: float = 0.0,
        jitter_s: float = 0.0,
        seed: int = 1,
    ) -> None:
        self.latency_s = latency_s
        self.jitter_s = jitter_s
        self.transaction_offset = 0  # added to each reply's transaction id: a gateway that mixes them up
        self.requests = 0
        self._devices = {device.device_id: device for device in devices}
        self._rng = Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def run(self, stop: threading.Event) -> None:
        sharpen_timers()
        with self._listener:
            while not stop.is_set():
                if self._is_ready(self._listener):
                    connection, _ = self._listener.accept()
                    with connection:
                        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        self._serve(connection, stop.is_set)

    def _serve(self, connection: socket.socket, is_over: Callable[[], bool]) -> None:
        waiting = b""
        while not is_over():
            if not self._is_ready(connection):
                continue
            try:
                data = connection.recv(4096)
            except ConnectionError:
                return
            if not data:
                return
            waiting += data
            while len(waiting) >= 6 and len(waiting) >= (end := 6 + int.from_bytes(waiting[4:6])):
                message, waiting = waiting[:end], waiting[end:]
                connection.sendall(self._reply(message))

    def _reply(self, message: bytes) -> bytes:
        due_s = time.monotonic() + self.latency_s + self._rng.uniform(0, self.jitter_s)
        self.requests += 1
        device = self._devices.get(message[6])
        pdu = message[7:]
        body = bytes((message[6],)) + (
            SimulatedDevice.refuse(pdu[0], _NO_ANSWER) if device is None else device.answer(pdu)
        )
        number = (int.from_bytes(message[:2]) + self.transaction_offset) % 0x10000
        time.sleep(max(0.0, due_s - time.monotonic()))
        return number.to_bytes(2) + message[2:4] + len(body).to_bytes(2) + body

    def _is_ready(self, source: socket.socket) -> bool:
        return bool(select.select([source], [], [], _LONGEST_WAIT_S)[0])
