"""The hold on a berth: of two drivers racing for one vehicle exactly one gets it."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, or_

from cloud_endpoint.database import insert_of
from cloud_endpoint.orders import Order
from cloud_endpoint.scenes import Scene
from cloud_endpoint.tables import holds


def take(connection: Connection, order: Order, scene: Scene, until_ms: int, now_ms: int) -> bool:
    """Hold the berth for the order; False when another order holds it for the same vehicle."""
    assert scene.sight is not None  # only a match holds
    got = connection.execute(
        _take_hold(connection.dialect.name),
        {
            "site_id": order.site_id,
            "berth_id": scene.berth.berth_id,
            "order_id": order.order_id,
            "visit_id": scene.sight.visit_id,
            "until_ms": until_ms,
            "now_ms": now_ms,
        },
    )
    # Not rowcount: the driver does not report it for INSERT.
    return got.first() is not None


@cache
def _take_hold(dialect: str) -> Any:
    statement = insert_of(dialect, holds)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["site_id", "berth_id"],
        set_={"order_id": new.order_id, "visit_id": new.visit_id, "until_ms": new.until_ms},
        where=or_(
            holds.c.until_ms <= bindparam("now_ms"),
            holds.c.order_id == new.order_id,
            holds.c.visit_id != new.visit_id,
        ),
    ).returning(holds.c.order_id)
