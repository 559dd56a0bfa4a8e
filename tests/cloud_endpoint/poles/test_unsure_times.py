"""Times that no clock proves: placed inside their bounds, flagged, and never decisive by themselves."""

from datetime import timedelta

from cloud_street import RIGHT, Street, rows, verdicts

from cloud_endpoint.base.clock import to_ms
from cloud_endpoint.database.tables import audit, visits
from tests.waiting import until

UNSET = "1970-01-01T00:10:00+00:00"
HOUR = timedelta(hours=1)


def test_a_record_without_a_clock_is_placed_inside_its_bounds_and_flagged(street: Street) -> None:
    pole = street.enrol()
    pole.drive_in("1001", RIGHT)
    after, before = street.clock.now() - 5 * HOUR, street.clock.now() - 4 * HOUR
    pole.events[0] |= {
        "observed_at": UNSET,
        "clock_synced": False,
        "not_before": after.isoformat(),
        "not_after": before.isoformat(),
    }
    assert verdicts(pole.sync()) == ["accepted"]

    [visit] = rows(street, visits)
    assert to_ms(after) <= visit["started_ms"] <= to_ms(before)
    assert visit["time_unsure"]
    page = street.call("GET", "/v1/reviews", token=street.operator)
    assert page.status_code == 200


def test_an_older_pole_that_sends_no_bounds_is_placed_at_the_receipt(street: Street) -> None:
    pole = street.enrol()
    pole.drive_in("1001", RIGHT)
    pole.events[0] |= {"observed_at": UNSET, "clock_synced": False}
    assert verdicts(pole.sync()) == ["accepted"]

    [visit] = rows(street, visits)
    assert abs(visit["started_ms"] - street.clock()) < 5_000
    assert visit["time_unsure"]


def test_a_stamp_before_2020_that_claims_to_be_right_is_refused(street: Street) -> None:
    pole = street.enrol()
    pole.drive_in("1001", RIGHT)
    pole.events[0]["observed_at"] = UNSET
    answer = pole.sync()

    assert verdicts(answer) == ["rejected"]
    assert "before 2020" in answer["verdicts"][0]["reason"]


def test_a_reading_of_unsure_time_decides_only_after_a_fresh_picture(street: Street) -> None:
    pole = street.enrol()
    pole.drive_in("1001", RIGHT)
    pole.read("1001")
    for event in pole.events:
        event |= {"clock_synced": False, "not_before": (street.clock.now() - HOUR).isoformat()}
    pole.sync()

    order_id, answer = street.order("1001", RIGHT)

    assert answer["instruction"] == "pending"
    until(lambda: street.view(order_id)["instruction"] == "order_confirmation")
    assert pole.pulled


def test_a_stay_longer_than_the_limit_is_flagged_once(street: Street) -> None:
    pole = street.enrol()
    pole.drive_in("1001", RIGHT)
    pole.events[0]["observed_at"] = (street.clock.now() - 100 * HOUR).isoformat()
    pole.sync()
    pole.drive_out("1001")
    body = pole.request()
    for _ in range(2):
        pole.post(body)

    assert [line["detail"] for line in rows(street, audit) if line["action"] == "long_stay"] == [
        {"hours": 100}
    ]
