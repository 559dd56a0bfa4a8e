"""Data goes when its time is over or its person asks, and really goes."""

import hashlib
from pathlib import Path

import pytest
from cloud_street import JPEG, POLE_CODE, RIGHT, SITE, UNSURE, WRONG, Street
from sqlalchemy import func, insert, select

from cloud_endpoint.base.errors import ConfigError
from cloud_endpoint.base.settings import RetentionSettings
from cloud_endpoint.database.engine import reading, writing
from cloud_endpoint.database.tables import audit as audit_table
from cloud_endpoint.database.tables import berths, holds, metadata, orders, readings, visits
from cloud_endpoint.records import audit, forgetting, retention
from cloud_endpoint.records.deletion import Gone


def everything(street: Street) -> str:
    """Every value of every table, as text."""
    with reading(street.cloud.engine) as connection:
        return "\n".join(
            str(tuple(row))
            for table in metadata.sorted_tables
            for row in connection.execute(select(table)).all()
        )


def test_a_forgotten_plate_is_in_no_table_and_not_in_the_files(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    pole.arrive("1002", WRONG)
    street.order("1001", RIGHT)
    order_id, _ = street.order("1002", RIGHT, account="driver-2")
    street.view(order_id, wait=20)
    assert RIGHT in everything(street)
    gone = forgetting.forget(street.cloud.engine, SITE, street.clock(), plate=RIGHT)
    assert gone.orders == 2
    left = everything(street)
    assert RIGHT not in left
    assert WRONG in left
    with reading(street.cloud.engine) as connection:
        audit.verify(connection, SITE)
    if street.cloud.engine.dialect.name == "sqlite":
        database = Path(street.cloud.engine.url.database or "")
        for file in database.parent.glob(f"{database.name}*"):
            assert RIGHT.encode() not in file.read_bytes(), file


def test_a_forgotten_account_has_no_orders(street: Street) -> None:
    street.open("driver-7")
    street.open("driver-8")
    assert forgetting.forget(street.cloud.engine, SITE, street.clock(), account_id="driver-7").orders == 1
    left = everything(street)
    assert "driver-7" not in left
    assert "driver-8" in left


def test_forgetting_a_plate_leaves_other_peoples_orders_to_be_decided(street: Street) -> None:
    """The neighbour's plate was read where another driver ordered; the neighbour's wish closes no review."""
    pole = street.enrol()
    pole.arrive("1003", WRONG, characters=UNSURE)
    order_id, _ = street.order("1003", RIGHT)
    assert street.view(order_id, wait=20)["instruction"] == "review"
    forgetting.forget(street.cloud.engine, SITE, street.clock(), plate=WRONG)
    assert WRONG not in everything(street)
    (review,) = street.call("GET", "/v1/reviews", token=street.operator).json()
    assert (review["read_plate"], review["ordered_plate"]) == (None, RIGHT)
    decision = {"decision": "refuse", "reason": "no picture any more"}
    url = f"/v1/reviews/{review['review_id']}"
    assert street.call("POST", url, decision, token=street.operator).status_code == 200
    assert street.view(order_id)["reason"] == "refused"


def test_a_forgotten_accounts_phone_and_the_pictures_of_its_reviews_go_too(street: Street) -> None:
    pole = street.enrol(reachable=False)
    body = {"place": {"pole_code": POLE_CODE}, "account_id": "driver-7", "client_id": "phone-7"}
    order_id = street.call("POST", "/v1/orders", body).json()["order_id"]
    pole.picture_sha256 = hashlib.sha256(JPEG).hexdigest()
    pole.arrive("1003", WRONG, characters=UNSURE)
    street.submit(order_id, street.offer(order_id)["1003"], RIGHT)
    for _ in range(3):
        pole.answer_carried(pole.sync())
    assert street.view(order_id, wait=5)["instruction"] == "review"
    assert pole.put_picture(JPEG).status_code == 204
    gone = forgetting.forget(street.cloud.engine, SITE, street.clock(), account_id="driver-7")
    assert (gone.orders, gone.pictures) == (1, 1)
    left = everything(street)
    assert "phone-7" not in left
    assert "driver-7" not in left
    assert street.call("GET", "/v1/reviews", token=street.operator).json() == []


def test_each_class_of_data_goes_at_its_own_age(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    order_id, _ = street.order("1001", RIGHT)
    street.call("POST", f"/v1/orders/{order_id}/cancel")
    pole.leave("1001")
    keep = RetentionSettings(plates_days=90, orders_days=730, visits_days=730)

    def after(days: int) -> Gone:
        return retention.run(street.cloud.engine, keep, street.clock() + days * 86_400_000)

    assert (after(89).plates, after(89).orders) == (0, 0)
    at_91 = street.clock() + 91 * 86_400_000
    assert retention.count(street.cloud.engine, keep, at_91).plates == 3
    assert RIGHT in everything(street)  # counting does nothing
    assert after(91).plates == 3
    assert RIGHT not in everything(street)
    with reading(street.cloud.engine) as connection:
        assert connection.execute(select(func.count()).select_from(orders)).scalar() == 1
    assert after(731).orders == 1
    with reading(street.cloud.engine) as connection:
        for table in (orders, visits, readings):
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0
        audit.verify(connection, SITE)


def test_an_open_order_keeps_its_plate(street: Street) -> None:
    street.order("1001", RIGHT)
    retention.run(street.cloud.engine, RetentionSettings(), street.clock() + 1000 * 86_400_000)
    assert RIGHT in everything(street)


def test_more_than_one_step_of_old_rows_goes_and_the_latest_visit_stays(street: Street) -> None:
    count = retention.STEP_ROWS + 10
    street.poles.clear()
    with writing(street.cloud.engine) as connection:
        berth_id = connection.execute(select(berths.c.berth_id).limit(1)).scalar_one()
        connection.execute(
            insert(visits),
            [
                {
                    "site_id": SITE,
                    "visit_id": f"v{i}",
                    "berth_id": berth_id,
                    "device_id": "pole-1",
                    "seen_ms": i,  # none of them ever ended: each drive-out was lost
                    "plate": WRONG,
                }
                for i in range(count)
            ],
        )
    gone = retention.run(street.cloud.engine, RetentionSettings(), street.clock())
    assert gone.visits == count - 1
    with reading(street.cloud.engine) as connection:
        (left,) = connection.execute(select(visits)).all()
    assert (left.visit_id, left.plate) == (f"v{count - 1}", None)


def test_a_picture_that_no_open_review_waits_for_is_not_asked_for_any_more(street: Street) -> None:
    pole = street.enrol(reachable=False)
    pole.picture_sha256 = "ab" * 32
    pole.arrive("1003", WRONG, characters=UNSURE)
    order_id, _ = street.order("1003", RIGHT)
    for _ in range(3):  # three pictures are taken before a human is asked
        pole.answer_carried(pole.sync())
    assert street.view(order_id, wait=5)["instruction"] == "review"
    assert pole.sync()["wanted_evidence"] == ["ab" * 32]
    retention.run(street.cloud.engine, RetentionSettings(), street.clock())
    assert pole.sync()["wanted_evidence"] == ["ab" * 32]
    street.call("POST", f"/v1/orders/{order_id}/cancel")
    retention.run(street.cloud.engine, RetentionSettings(), street.clock() + 31 * 86_400_000)
    assert pole.sync()["wanted_evidence"] == []


def test_a_forgotten_order_lets_its_berth_go_and_the_audit_says_that_but_not_whose(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    assert street.order("1001", RIGHT)[1]["state"] == "confirmed"
    forgetting.forget(street.cloud.engine, SITE, street.clock(), plate=RIGHT, account_id="driver-1")
    with reading(street.cloud.engine) as connection:
        assert connection.execute(select(func.count()).select_from(holds)).scalar() == 0
        lines = connection.execute(select(audit_table).order_by(audit_table.c.number)).all()
        audit.verify(connection, SITE)
    assert lines[-1].action == "forgotten_on_request"
    assert RIGHT not in str(lines)
    assert "driver-1" not in str(lines)
    with pytest.raises(ConfigError, match="unknown site"):
        forgetting.forget(street.cloud.engine, "nowhere", street.clock(), plate=RIGHT)
