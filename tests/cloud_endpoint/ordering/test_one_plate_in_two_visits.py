"""One plate in two berths of a site decides no order before fresh looks at both."""

from cloud_street import RIGHT, Street, rows

from cloud_endpoint.database.tables import captures, reviews
from tests.waiting import until


def test_a_human_decides_when_fresh_pictures_of_both_berths_show_the_plate(street: Street) -> None:
    street.enrol().arrive("1001", RIGHT)
    street.enrol("pole-2", berths=("2001",)).arrive("2001", RIGHT)

    order_id, answer = street.order("1001", RIGHT)

    assert answer["instruction"] == "pending"
    until(lambda: street.view(order_id)["instruction"] == "review")
    assert [review["reason"] for review in rows(street, reviews)] == ["plate_in_two_berths"]


def test_an_order_is_confirmed_once_the_other_berth_is_found_empty(street: Street) -> None:
    street.enrol().arrive("1001", RIGHT)
    other = street.enrol("pole-2", berths=("2001",))
    other.arrive("2001", RIGHT)
    other.standing.pop("2001")  # its drive-out was lost

    order_id, answer = street.order("1001", RIGHT)

    assert answer["instruction"] == "pending"
    until(lambda: street.view(order_id)["instruction"] == "order_confirmation")


def test_a_wrong_plate_in_a_drivers_berth_sends_nobody_away_while_it_stands_elsewhere(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    pole.arrive("1002", RIGHT)  # a camera that is wrongly aimed

    order_id, _ = street.order("1002", "沪B67890")

    until(lambda: street.view(order_id)["instruction"] == "review")


def test_a_human_decides_when_the_pole_of_the_other_berth_is_out_of_order(street: Street) -> None:
    street.enrol().arrive("1001", RIGHT)
    street.enrol("pole-2", reachable=False, berths=("2001",)).arrive("2001", RIGHT)  # never heard of again

    order_id, _ = street.order("1001", RIGHT)

    lifetime_s = street.cloud.settings.poles.capture_lifetime_s
    for unanswered in range(1, street.cloud.settings.check.max_captures + 1):
        until(lambda: _is_asked(street, "2001"))
        # the pole that works has answered before the clock moves: its request must not expire too
        until(lambda: not _is_asked(street, "1001"))
        street.clock.advance(lifetime_s + 1)
        until(lambda n=unanswered: _failed(street, "2001") == n)
    until(lambda: street.view(order_id)["instruction"] == "review")


def _failed(street: Street, berth_no: str) -> int:
    return sum(row["berth_no"] == berth_no and row["state"] == "failed" for row in rows(street, captures))


def _is_asked(street: Street, berth_no: str) -> bool:
    return any(row["berth_no"] == berth_no and row["state"] == "asked" for row in rows(street, captures))
