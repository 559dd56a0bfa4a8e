"""An operator decides: three plates, a reason, and nothing overwritten."""

from datetime import datetime

from cloud_pole import SURE
from cloud_street import RIGHT, WRONG, Street, decide, reviewed, rows, slug
from sqlalchemy import func, select

from cloud_endpoint.database.engine import reading
from cloud_endpoint.database.tables import captures, order_events, reviews
from tests.waiting import until


def test_a_review_keeps_read_ordered_and_operators_plate_apart(street: Street) -> None:
    _, order_id, review = reviewed(street)
    assert (review["read_plate"], review["ordered_plate"], review["operator_plate"]) == (WRONG, RIGHT, None)
    done = decide(street, review["review_id"], decision="approve", operator_plate=RIGHT, reason="a clear 5")
    assert done.status_code == 200, done.text
    body = done.json()
    assert (body["read_plate"], body["ordered_plate"], body["operator_plate"]) == (WRONG, RIGHT, RIGHT)
    assert street.view(order_id)["instruction"] == "order_confirmation"
    again = decide(street, review["review_id"], decision="refuse", reason="changed my mind")
    assert (again.status_code, slug(again)) == (409, "review-closed")


def test_an_operator_cannot_approve_a_plate_that_differs(street: Street) -> None:
    _, order_id, review = reviewed(street)
    for plate in (WRONG, None):
        refused = decide(street, review["review_id"], decision="approve", operator_plate=plate, reason="ok")
        assert slug(refused) == "plates-differ"
    assert street.view(order_id)["state"] == "review"


def test_an_order_in_review_is_confirmed_by_a_later_picture_and_leaves_the_queue(street: Street) -> None:
    pole, order_id, review = reviewed(street)
    pole.standing["1003"].plate, pole.standing["1003"].characters = RIGHT, SURE
    assert street.view(order_id)["state"] == "review"
    street.clock.advance(street.cloud.settings.orders.review_look_s)
    until(lambda: street.view(order_id)["state"] == "confirmed", "the pole looks on")
    assert street.call("GET", "/v1/reviews", token=street.operator).json() == []
    late = decide(street, review["review_id"], decision="refuse", reason="too late")
    assert (late.status_code, slug(late)) == (409, "review-closed")


def test_what_a_later_picture_shows_otherwise_leaves_a_review_to_the_operator(street: Street) -> None:
    pole, order_id, _ = reviewed(street)
    pole.standing["1003"].characters = SURE  # another plate, read for sure
    looked = len(pole.pulled)
    street.clock.advance(street.cloud.settings.orders.review_look_s)
    until(lambda: len(pole.pulled) > looked, "the pole looks on")
    until(lambda: captures_open(street) == 0, "the picture is judged")
    assert street.view(order_id)["state"] == "review"


def captures_open(street: Street) -> int:
    with reading(street.cloud.engine) as connection:
        asked = select(func.count()).select_from(captures).where(captures.c.state == "asked")
        return int(connection.execute(asked).scalar_one())


def test_cancelling_takes_the_review_out_of_the_queue(street: Street) -> None:
    _, order_id, _ = reviewed(street)
    assert street.call("POST", f"/v1/orders/{order_id}/cancel").json()["state"] == "cancelled"
    assert street.call("GET", "/v1/reviews", token=street.operator).json() == []


def test_a_review_of_a_cancelled_order_is_closed(street: Street) -> None:
    _, order_id, review = reviewed(street)
    street.call("POST", f"/v1/orders/{order_id}/cancel")
    refused = decide(street, review["review_id"], decision="approve", operator_plate=RIGHT, reason="late")
    assert (refused.status_code, slug(refused)) == (409, "review-closed")
    assert street.view(order_id)["state"] == "cancelled"


def test_a_refused_order_tells_the_driver_and_can_be_appealed(street: Street) -> None:
    _, order_id, review = reviewed(street)
    decide(street, review["review_id"], decision="refuse", operator_plate=WRONG, reason="it is a 6")
    answer = street.view(order_id)
    assert (answer["instruction"], answer["reason"]) == ("cancelled", "refused")
    appealed = street.call("POST", f"/v1/orders/{order_id}/appeals", {"reason": "it is my car"})
    assert appealed.status_code == 201
    queue = street.call("GET", "/v1/reviews", token=street.operator).json()
    assert [r["kind"] for r in queue] == ["appeal"]
    decide(street, queue[0]["review_id"], decision="approve", operator_plate=RIGHT, reason="a 5 after all")
    assert street.view(order_id)["state"] == "cancelled"
    with reading(street.cloud.engine) as connection:
        history = connection.execute(
            select(order_events.c.event)
            .where(order_events.c.order_id == order_id)
            .order_by(order_events.c.number)
        )
        assert history.scalars().all()[-3:] == ["refuse", "appeal", "correct"]


def closed_by_service(street: Street) -> list[str]:
    return [review["decision"] for review in rows(street, reviews) if review["decided_by"] == "service"]


def test_an_order_in_review_ends_when_the_vehicle_leaves(street: Street) -> None:
    pole, order_id, review = reviewed(street)
    pole.leave("1003")
    answer = street.view(order_id)
    assert (answer["state"], answer["reason"]) == ("expired", "vehicle_left")
    assert street.call("GET", "/v1/reviews", token=street.operator).json() == []
    assert closed_by_service(street) == ["left"]
    late = decide(street, review["review_id"], decision="refuse", reason="too late")
    assert slug(late) == "review-closed"


def test_without_an_operator_the_driver_has_an_answer_after_the_time_that_is_set(street: Street) -> None:
    wait_s = street.cloud.settings.orders.review_s
    _, order_id, review = reviewed(street)
    promised = datetime.fromisoformat(street.view(order_id)["expires_at"])
    assert (promised - datetime.fromisoformat(review["opened_at"])).total_seconds() == wait_s
    street.clock.advance(wait_s - 60)
    street.cloud.wake.set()
    assert street.view(order_id)["state"] == "review"
    street.clock.advance(70)
    street.cloud.wake.set()
    until(lambda: street.view(order_id)["state"] == "expired", "the order ends")
    assert street.view(order_id)["reason"] == "not_reviewed"
    assert closed_by_service(street) == ["expired"]
