"""The duties of the clockwork, and how many slots each has in one process."""

from typing import Any
from urllib.parse import urlsplit

from cloud_endpoint.clockwork import pictures, pulls
from cloud_endpoint.clockwork.duty import Claimed, Duty, Leased
from cloud_endpoint.clockwork.slots import Slots
from cloud_endpoint.database.service import Service
from cloud_endpoint.ordering import due_orders, webhooks

TICK_S = 0.5


def _one_look(_service: Service, slots: Slots) -> list[Claimed]:
    """One look at a time: the next one finds what this one had no room for."""
    return [Claimed(peer="")] if slots.take("") else []


def _look(service: Service, _row: None) -> None:
    due_orders.look(service)


def _pole(row: Any) -> str:
    return str(row.device_id)


def receiver_of(row: Any) -> str:
    """Return the host that a webhook goes to: credentials of several sites may share one."""
    try:
        return str(urlsplit(row.webhook_url).netloc)
    except ValueError:  # no address: it fails when it is delivered, and alone
        return str(row.webhook_url)


DUTIES = (
    Duty(name=due_orders.DUTY, slots=1, slots_per_peer=1, every_s=TICK_S, claim=_one_look, act=_look),
    # A pole takes one picture after the other: what is beyond a few at once would wait there.
    Duty(
        name="pulls",
        slots=32,
        slots_per_peer=4,
        every_s=0,
        claim=Leased(due=pulls.due, owner="device_id", peer=_pole, lease=pulls.lease),
        act=pulls.pull,
    ),
    # Pictures are large, and no driver waits for them: one after the other over a pole's 4G line.
    Duty(
        name="pictures",
        slots=8,
        slots_per_peer=1,
        every_s=TICK_S,
        claim=Leased(due=pictures.due, owner="device_id", peer=_pole, lease=pictures.lease),
        act=pictures.fetch,
    ),
    # Four at once bring 80 a second to a receiver that answers in 50 ms.
    Duty(
        name="webhooks",
        slots=32,
        slots_per_peer=4,
        every_s=0,
        claim=Leased(due=webhooks.due, owner="credential_id", peer=receiver_of, lease=webhooks.lease),
        act=webhooks.deliver,
    ),
)
