"""Requests that wait for an order are bounded; more are answered at once, with the time to ask again."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from cloud_phone import Phone
from cloud_street import RIGHT, Street

from cloud_endpoint.web.long_polls import BUSY_RETRY_S
from tests.waiting import until

Poll = Callable[[str], Future[dict[str, Any]]]


@contextmanager
def polling(street: Street) -> Iterator[Poll]:
    """Start requests that wait; they end with the order, which the test cancels."""
    with ThreadPoolExecutor(12) as threads:
        yield lambda order_id: threads.submit(street.view, order_id, 25)


def pending(street: Street, berth_no: str, account: str) -> str:
    order_id, answer = street.order(berth_no, RIGHT, account)  # no car yet
    assert answer["state"] == "pending"
    return order_id


def cancel(street: Street, order_id: str) -> None:
    assert street.call("POST", f"/v1/orders/{order_id}/cancel").status_code == 200


def all_wait(street: Street, count: int) -> None:
    until(lambda: street.app.state.long_polls.count == count, f"{count} requests wait")


def is_plain(street: Street, order_id: str) -> bool:
    """Tell whether a request that would wait is answered at once."""
    answer = street.view(order_id, wait=25)
    return (answer["state"], answer["retry_after_s"]) == ("pending", BUSY_RETRY_S)


@pytest.mark.parametrize(
    ("limit", "is_same_order", "is_same_account"),
    [
        ("long_polls_per_order", True, True),
        ("long_polls_per_account", False, True),
        ("long_polls_per_address", False, False),
        ("long_polls_per_worker", False, False),
    ],
)
def test_beyond_a_bound_the_answer_is_plain_until_a_request_ends(
    street_with: Callable[..., Street], limit: str, is_same_order: bool, is_same_account: bool
) -> None:
    street = street_with(limits={limit: 2})
    first = pending(street, "1001", "driver-1")
    second = (
        first if is_same_order else pending(street, "1002", "driver-1" if is_same_account else "driver-2")
    )
    with polling(street) as poll:
        waiting = [poll(first), poll(first)]
        all_wait(street, 2)
        assert is_plain(street, second)
        cancel(street, first)
        assert [one.result()["state"] for one in waiting] == ["cancelled"] * 2
        if not is_same_order:
            third = poll(second)
            all_wait(street, 1)
            cancel(street, second)
            assert third.result()["state"] == "cancelled"
        all_wait(street, 0)


def test_other_drivers_wait_beside_one_who_has_used_up_his_share(street: Street) -> None:
    greedy, other = pending(street, "1001", "driver-1"), pending(street, "1002", "driver-2")
    with polling(street) as poll:
        waiting = [poll(greedy) for _ in range(street.cloud.settings.limits.long_polls_per_order)]
        all_wait(street, len(waiting))
        assert is_plain(street, greedy)
        honest = poll(other)
        all_wait(street, len(waiting) + 1)
        cancel(street, other)
        assert honest.result()["state"] == "cancelled"
        cancel(street, greedy)
        assert [one.result()["state"] for one in waiting] == ["cancelled"] * len(waiting)


def test_the_drivers_page_is_bounded_too_and_says_when_to_ask_again(
    town_with: Callable[..., Street],
) -> None:
    town = town_with(limits={"long_polls_per_order": 1})
    phone = Phone(town)
    phone.open()
    phone.choose("1001", RIGHT)
    url = f"{town.url}/pay/{phone.order_id}/state"
    cookies = phone.cookies.get_dict()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(phone.get, f"{url}?wait=25", cookies=cookies, timeout=30)
        all_wait(town, 1)
        second = Phone(town)
        second.cookies.update(cookies)
        answer = second.get(f"{url}?wait=25", timeout=30)
        assert answer.json() == {"state": "pending", "retry_after_s": BUSY_RETRY_S}
        second.order_id = phone.order_id
        second.press("cancel")
        assert waiting.result().json() == {"state": "cancelled"}


def test_who_hangs_up_waits_no_longer(street: Street) -> None:
    order_id = pending(street, "1001", "driver-1")
    with pytest.raises(requests.ReadTimeout):
        requests.get(
            f"{street.url}/v1/orders/{order_id}?wait=30",
            headers={"Authorization": f"Bearer {street.terminal}"},
            timeout=(10, 0.5),
        )
    all_wait(street, 0)
