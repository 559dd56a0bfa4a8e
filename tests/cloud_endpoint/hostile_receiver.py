"""A receiver of webhooks that answers a byte at a time, slower than any deadline."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cloud_street import SITE
from sqlalchemy import Connection, insert

from cloud_endpoint.access.credentials import Role, add_credential
from cloud_endpoint.database.tables import webhooks

PAUSE_S = 2.0


@dataclass
class SlowReceiver:
    """What it is reached by, and how many connections it holds now and held at most."""

    url: str
    held: int = 0
    most_held: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def slow_receiver() -> Iterator[SlowReceiver]:
    """Serve until the block ends; then all connections are closed."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        receiver = SlowReceiver(url=f"http://127.0.0.1:{listener.getsockname()[1]}/hook")
        done = threading.Event()
        threads = [threading.Thread(target=_accept, args=(listener, receiver, done))]
        threads[0].start()
        try:
            yield receiver
        finally:
            done.set()
            listener.shutdown(socket.SHUT_RDWR)
            threads[0].join()


def _accept(listener: socket.socket, receiver: SlowReceiver, done: threading.Event) -> None:
    threads = []
    while not done.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            break
        thread = threading.Thread(target=_answer_slowly, args=(connection, receiver, done))
        threads.append(thread)
        thread.start()
    for thread in threads:
        thread.join()


def _answer_slowly(connection: socket.socket, receiver: SlowReceiver, done: threading.Event) -> None:
    with receiver.lock:
        receiver.held += 1
        receiver.most_held = max(receiver.most_held, receiver.held)
    with connection:
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000:
            try:
                connection.sendall(bytes([byte]))
            except OSError:
                break
            if done.wait(PAUSE_S):
                break
    with receiver.lock:
        receiver.held -= 1


def queue_webhooks(connection: Connection, url: str, count: int, now_ms: int) -> None:
    """Have so many webhooks wait for a receiver, of two terminals that share it."""
    names = ["bad-1", "bad-2"]
    for name in names:
        add_credential(connection, SITE, Role.TERMINAL, name, now_ms, url)
    waiting = [
        {
            "site_id": SITE,
            "webhook_id": f"hook-{number}",
            "credential_id": names[number % 2],
            "order_id": f"order-{number}",
            "body": {"number": number},
            "created_ms": now_ms,
            "due_ms": now_ms,
            "attempts": 0,
            "state": "waiting",
        }
        for number in range(count)
    ]
    connection.execute(insert(webhooks), waiting)
