"""Limits for an account, a phone, an address and a zone: they bound a search for a plate, and the queue."""

from http import HTTPStatus

from cloud_endpoint.base.clock import HOUR_MS
from cloud_endpoint.base.errors import Problem
from cloud_endpoint.database.engine import insert
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import counters


def charge(
    work: Work, site_id: str, scope: str, name: str, *, most: int, window_ms: int, what: str = "orders"
) -> None:
    """Count one use of a window that begins at multiples of `window_ms`; raises Problem beyond `most`.

    `what` is counted: orders or appeals.
    """
    window = work.now_ms - work.now_ms % window_ms
    statement = insert(work.connection, counters).values(
        site_id=site_id,
        scope=scope if what == "orders" else f"{what}:{scope}",
        name=name,
        window_ms=window,
        count=1,
    )
    count = work.connection.execute(
        statement.on_conflict_do_update(
            index_elements=["site_id", "scope", "name", "window_ms"],
            set_={"count": counters.c.count + 1},
        ).returning(counters.c.count)
    ).scalar_one()
    if count > most:
        raise Problem(
            f"too-many-{what}",
            HTTPStatus.TOO_MANY_REQUESTS,
            f"more than {most} {what} for this {scope} in {window_ms // HOUR_MS} h",
            field={"account": "account_id", "client": "client_id"}.get(scope, "place"),
            remedy="wait, or ask the operator",
            retry_after_s=(window + window_ms - work.now_ms + 999) // 1000,
        )
