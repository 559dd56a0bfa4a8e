"""Instructions that follow later are pushed."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cloud_street import RIGHT, WRONG, Street
from sqlalchemy import update

from cloud_endpoint.access.signatures import is_signed
from cloud_endpoint.database.engine import writing
from cloud_endpoint.database.tables import credentials
from tests.waiting import until


@pytest.fixture
def listener() -> Iterator[tuple[str, list[tuple[str, bytes]], list[int]]]:
    """An operator's app: what it received, and which answers it gives first."""
    received: list[tuple[str, bytes]] = []
    faults: list[int] = []

    class App(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.headers["Edged-Signature"], body))
            self.send_response(faults.pop(0) if faults else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), App)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook", received, faults
    server.shutdown()
    server.server_close()


def test_an_instruction_that_follows_later_is_pushed_signed_and_retried(
    street: Street, listener: tuple[str, list[tuple[str, bytes]], list[int]]
) -> None:
    url, received, faults = listener
    faults.append(500)
    with writing(street.cloud.engine) as connection:
        connection.execute(update(credentials).values(webhook_url=url))
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    order_id, _ = street.order("1003", WRONG)
    assert street.view(order_id, wait=20)["instruction"] == "plate_modification"
    until(lambda: received, "the first delivery")
    street.clock.advance(30)
    street.cloud.wake.set()
    until(lambda: len(received) == 2, "the second delivery")
    header, body = received[-1]
    assert is_signed(body, header, street.secret, street.clock() / 1000)
    told = json.loads(body)
    assert (told["order"]["order_id"], told["order"]["instruction"]) == (order_id, "plate_modification")
    assert received[0][1] == body
    assert RIGHT not in body.decode()
