"""One bad pole or receiver takes up its own share of the clockwork; everything else goes on."""

from collections.abc import Callable
from typing import Any

import requests
from cloud_pole import Fault
from cloud_street import RIGHT, SITE, WRONG, Street, rows
from hostile_receiver import SlowReceiver, queue_webhooks, slow_receiver
from sqlalchemy import insert, update

from cloud_endpoint.clockwork.duties import DUTIES
from cloud_endpoint.database.engine import writing
from cloud_endpoint.database.tables import captures, credentials, orders, webhooks
from tests.waiting import until

SHARE = {duty.name: duty.slots_per_peer for duty in DUTIES}
SLOTS = {duty.name: duty.slots for duty in DUTIES}


def deliver_to(street: Street, receiver: SlowReceiver, count: int) -> None:
    """Have so many webhooks wait for a receiver, of two terminals that share it."""
    with writing(street.cloud.engine) as connection:
        queue_webhooks(connection, receiver.url, count, street.clock())
    street.cloud.wake.set()


def ready(street: Street) -> int:
    return requests.get(f"{street.url}/readyz", timeout=10).status_code


def test_a_receiver_that_sends_a_byte_every_two_seconds_takes_its_share_and_plates_are_checked_on(
    street: Street,
) -> None:
    with slow_receiver() as receiver:
        deliver_to(street, receiver, 3 * SLOTS["webhooks"])
        until(lambda: receiver.held == SHARE["webhooks"], "the receiver has its share")
        pole = street.enrol()
        pole.arrive("1003", RIGHT)
        order_id, _ = street.order("1003", WRONG)
        assert street.view(order_id, wait=20)["instruction"] == "plate_modification"
        assert receiver.held <= SHARE["webhooks"]
        assert ready(street) == 200
        # An exchange has one deadline, however slowly its bytes come: then the next one is tried.
        until(lambda: attempted(street) > SHARE["webhooks"], "the slots are free again", within_s=30)


def attempted(street: Street) -> int:
    return sum(row["attempts"] > 0 for row in rows(street, webhooks))


def test_a_pole_whose_answer_breaks_off_fails_its_pull_and_nothing_else(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    pole.fault = Fault.CUT
    order_id, _ = street.order("1003", WRONG)
    until(lambda: failed_pulls(street), "the pull has failed")
    assert ready(street) == 200
    pole.fault = None
    street.clock.advance(20)
    street.cloud.wake.set()
    assert street.view(order_id, wait=20)["instruction"] == "plate_modification"


def failed_pulls(street: Street) -> list[dict[str, Any]]:
    return [row for row in rows(street, captures) if row["error"]]


def test_an_order_that_cannot_be_looked_at_is_counted_and_the_others_expire(
    street: Street, failures_of: Callable[[str], float]
) -> None:
    broken, other = street.open(), street.open("driver-2")
    with writing(street.cloud.engine) as connection:
        connection.execute(
            update(orders).where(orders.c.order_id == broken).values(state="of_another_version")
        )
    street.clock.advance(street.cloud.settings.orders.lifetime_s + 1)
    street.cloud.wake.set()
    until(lambda: street.view(other)["state"] == "expired", "the other order expires")
    assert failures_of("due orders") == 1
    due_ms = {row["order_id"]: row["due_ms"] for row in rows(street, orders)}
    assert due_ms[broken] > street.clock()
    assert ready(street) == 200


def test_an_unexpected_error_in_a_pull_is_counted_and_the_pull_is_due_again(
    street: Street, failures_of: Callable[[str], float]
) -> None:
    now_ms = street.clock()
    asked = {
        "site_id": SITE,
        "request_id": "cap-1",
        "device_id": "a-pole-that-is-not-in-the-database",
        "berth_id": "b",
        "berth_no": "1003",
        "order_id": "order-1",
        "submission": 1,
        "nonce": "n",
        "state": "asked",
        "created_ms": now_ms,
        "expires_ms": now_ms + 60_000,
        "due_ms": now_ms,
        "attempts": 0,
    }
    with writing(street.cloud.engine) as connection:
        connection.execute(insert(captures).values(asked))
    street.cloud.wake.set()
    until(lambda: failures_of("pulls"), "the failure is counted")
    (row,) = rows(street, captures)
    assert (row["state"], row["attempts"]) == ("asked", 1)
    assert row["due_ms"] > now_ms
    assert ready(street) == 200


def test_an_address_that_is_none_fails_its_own_webhook_and_no_other(street: Street) -> None:
    with slow_receiver() as receiver:
        deliver_to(street, receiver, 2)
        until(lambda: receiver.held == 2, "both are delivered to")
        with writing(street.cloud.engine) as connection:
            bad = update(credentials).where(credentials.c.credential_id == "bad-1")
            connection.execute(bad.values(webhook_url="http://[half-an-address/hook"))
        street.clock.advance(60)
        street.cloud.wake.set()
        until(lambda: receiver.held == 3, "the other one is delivered to again")
        assert ready(street) == 200
