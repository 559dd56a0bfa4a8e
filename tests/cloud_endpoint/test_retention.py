"""Data goes when its time is over or its person asks, and really goes."""

from pathlib import Path

from cloud_street import RIGHT, SITE, WRONG, Street
from sqlalchemy import func, select

from cloud_endpoint import audit, retention
from cloud_endpoint.database import reading
from cloud_endpoint.settings import RetentionSettings
from cloud_endpoint.tables import metadata, orders, readings, visits


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
    gone = retention.forget(street.cloud.engine, SITE, street.clock(), plate=RIGHT)
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
    assert retention.forget(street.cloud.engine, SITE, street.clock(), account_id="driver-7").orders == 1
    left = everything(street)
    assert "driver-7" not in left
    assert "driver-8" in left


def test_each_class_of_data_goes_at_its_own_age(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    order_id, _ = street.order("1001", RIGHT)
    street.call("POST", f"/v1/orders/{order_id}/cancel")
    pole.leave("1001")
    keep = RetentionSettings(plates_days=90, orders_days=730, visits_days=730)

    def after(days: int) -> retention.Gone:
        return retention.run(street.cloud.engine, keep, street.clock() + days * 86_400_000)

    assert (after(89).plates, after(89).orders) == (0, 0)
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
