"""Instructions that follow later are pushed."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cloud_street import RIGHT, SITE, WRONG, Street
from sqlalchemy import delete, insert, text, update
from sqlalchemy.dialects import postgresql

from cloud_endpoint.access.signatures import is_signed
from cloud_endpoint.database.engine import writing
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import credentials, webhooks
from cloud_endpoint.ordering.webhooks import due, next_of_each
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


Listener = tuple[str, list[tuple[str, bytes]], list[int]]


def listening(street: Street, url: str) -> None:
    with writing(street.cloud.engine) as connection:
        connection.execute(update(credentials).values(webhook_url=url))


def told_of(received: list[tuple[str, bytes]], order_id: str) -> list[tuple[int, str]]:
    """Return number and state of what was delivered of an order, in the order of the numbers."""
    bodies = [json.loads(body) for _, body in list(received)]
    return sorted((b["number"], b["order"]["state"]) for b in bodies if b["order"]["order_id"] == order_id)


def test_each_change_of_an_order_is_sent_with_a_number_that_grows(street: Street, listener: Listener) -> None:
    url, received, _ = listener
    listening(street, url)
    street.enrol().arrive("1003", RIGHT)

    order_id, answer = street.order("1003", RIGHT)
    assert answer["state"] == "confirmed"
    assert street.pay(order_id).json()["outcome"] == "applied"
    assert street.pay(order_id, "payment-2", minutes=30).json()["outcome"] == "applied"

    until(lambda: len(told_of(received, order_id)) == 4, "all changes are delivered")
    numbers, states = zip(*told_of(received, order_id), strict=True)
    assert states == ("offered", "confirmed", "paid", "paid")
    assert sorted(set(numbers)) == list(numbers)


def test_what_a_terminal_may_not_know_is_not_sent(street: Street, listener: Listener) -> None:
    url, received, _ = listener
    listening(street, url)
    pole = street.enrol(reachable=False)
    order_id, answer = street.order("1003", RIGHT)  # no car yet
    assert answer["state"] == "pending"

    pole.drive_in("1003", None)  # it waits for another reason now
    pole.sync()
    street.call("POST", f"/v1/orders/{order_id}/cancel")

    until(lambda: (told_of(received, order_id) or [(0, "")])[-1][1] == "cancelled", "the end is delivered")
    until(lambda: len(told_of(received, order_id)) >= 3, "all is delivered")
    assert [state for _, state in told_of(received, order_id)] == ["offered", "pending", "cancelled"]


def test_no_change_waits_for_an_earlier_one_that_fails(street: Street, listener: Listener) -> None:
    url, received, faults = listener
    faults.append(500)
    listening(street, url)
    street.enrol().arrive("1003", RIGHT)
    order_id, _ = street.order("1003", RIGHT)

    until(
        lambda: {"offered", "confirmed"} <= {state for _, state in told_of(received, order_id)},
        "both are tried, though the clock stands still for the one that failed",
    )


def test_what_is_new_goes_before_what_a_receiver_has_failed_to_take(street: Street) -> None:
    with writing(street.cloud.engine) as connection:
        connection.execute(update(credentials).values(webhook_url="http://127.0.0.1:1/hook"))
        now_ms = street.clock()
        waiting = {
            "site_id": SITE,
            "credential_id": "app",
            "body": {},
            "created_ms": now_ms,
            "due_ms": now_ms + 3_600_000,  # not due for the clockwork
            "state": "waiting",
        }
        failed = [waiting | {"webhook_id": f"old-{n}", "order_id": "o", "attempts": 3} for n in range(8)]
        new = waiting | {"webhook_id": "new", "order_id": "n", "attempts": 0, "due_ms": now_ms + 3_600_001}
        connection.execute(insert(webhooks), [*failed, new])
        later = Work(connection=connection, settings=street.cloud.settings, now_ms=now_ms + 4_000_000)
        assert due(later, 1, ())[0].webhook_id == "new"
        connection.execute(delete(webhooks))


def test_what_waits_for_a_receiver_that_does_not_answer_is_not_read_for_each_claim(street: Street) -> None:
    if street.cloud.engine.dialect.name == "sqlite":
        pytest.skip("an embedded database has few receivers")
    waiting = {"site_id": SITE, "credential_id": "app", "order_id": "o", "body": {}, "created_ms": 0}
    rows = [
        waiting | {"webhook_id": f"hook-{n}", "attempts": n % 3, "due_ms": n, "state": "waiting"}
        for n in range(2000)
    ]
    query = next_of_each(2000).compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    with street.cloud.engine.connect() as connection:  # rolled back: the clockwork sees nothing of it
        connection.execute(update(credentials).values(webhook_url="http://127.0.0.1:1/hook"))
        connection.execute(insert(webhooks), rows)
        connection.execute(text("ANALYZE webhooks"))
        plan = "\n".join(connection.execute(text(f"EXPLAIN (ANALYZE) {query}")).scalars())

    read = [int(rows) for rows in re.findall(r"actual time=\S+ rows=(\d+)", plan)]
    removed = [int(rows) for rows in re.findall(r"Rows Removed by Filter: (\d+)", plan)]
    assert max(read + removed) < 10, plan


def test_an_instruction_that_follows_later_is_pushed_signed_and_retried(
    street: Street, listener: Listener
) -> None:
    url, received, faults = listener
    listening(street, url)
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    order_id, _ = street.order("1003", WRONG)
    assert street.view(order_id, wait=20)["instruction"] == "plate_modification"
    until(lambda: len(told_of(received, order_id)) == 3, "all is delivered")
    faults.append(500)
    del received[:]
    street.call("POST", f"/v1/orders/{order_id}/cancel")
    until(lambda: received, "the first delivery")
    street.clock.advance(30)
    street.cloud.wake.set()
    until(lambda: len(received) == 2, "the second delivery")
    header, body = received[-1]
    assert is_signed(body, header, street.secret, street.clock() / 1000)
    told = json.loads(body)
    assert (told["order"]["order_id"], told["order"]["instruction"]) == (order_id, "cancelled")
    assert received[0][1] == body
    assert RIGHT not in body.decode()
