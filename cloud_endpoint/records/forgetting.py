"""All of a person's data at a site, deleted on request: by plate, by account, or both."""

from dataclasses import asdict

from sqlalchemy import Connection, Engine, case, or_, select, update

from cloud_endpoint.base.errors import ConfigError
from cloud_endpoint.database.engine import writing
from cloud_endpoint.database.tables import (
    counters,
    evidence,
    orders,
    readings,
    reviews,
    sites,
    visits,
    wanted_pictures,
)
from cloud_endpoint.records import audit
from cloud_endpoint.records.deletion import Gone, delete_orders, delete_rows, wipe


def forget(
    engine: Engine, site_id: str, now_ms: int, *, plate: str | None = None, account_id: str | None = None
) -> Gone:
    """Delete a person's data: all of a normalised plate's, or of an account's orders; raises ConfigError."""
    gone = Gone()
    with writing(engine) as connection:
        if connection.execute(select(sites.c.site_id).where(sites.c.site_id == site_id)).first() is None:
            raise ConfigError(f"unknown site {site_id!r}; nothing was deleted")
        if plate is not None:
            _forget_plate(connection, site_id, plate, gone)
        if account_id is not None:
            _forget_account(connection, site_id, account_id, gone)
        audit.append(
            connection,
            site_id,
            actor="cli",
            action="forgotten_on_request",
            subject="plate" if plate else "account",  # never whose
            now_ms=now_ms,
            **asdict(gone),
        )
    wipe(engine)
    return gone


def _forget_account(connection: Connection, site_id: str, account_id: str, gone: Gone) -> None:
    o, r, c = orders.c, reviews.c, counters.c
    own = (o.site_id == site_id) & (o.account_id == account_id)
    phones = connection.execute(select(o.client_id).where(own, o.client_id.is_not(None)).distinct())
    names = {account_id, *phones.scalars()}
    reviewed = select(r.evidence_sha256).join(orders, (o.site_id == r.site_id) & (o.order_id == r.order_id))
    _forget_pictures(connection, site_id, set(connection.execute(reviewed.where(own)).scalars()), gone)
    gone.orders += delete_orders(connection, own)
    delete_rows(
        connection,
        counters,
        (c.site_id == site_id) & c.scope.in_(("account", "client")) & c.name.in_(names),
    )


def _forget_plate(connection: Connection, site_id: str, plate: str, gone: Gone) -> None:
    r, v, w = readings.c, visits.c, reviews.c
    own_readings = (r.site_id == site_id) & (r.plate == plate)
    own_reviews = (w.site_id == site_id) & or_(
        w.read_plate == plate, w.ordered_plate == plate, w.operator_plate == plate
    )
    pictures = set(connection.execute(select(r.evidence_sha256).where(own_readings)).scalars())
    pictures |= set(connection.execute(select(w.evidence_sha256).where(own_reviews)).scalars())
    _forget_pictures(connection, site_id, pictures, gone)
    gone.plates += delete_rows(connection, readings, own_readings)
    erased = {
        "plate": None,
        "plate_kind": None,
        "characters": None,
        "evidence_sha256": None,
        "accepted": False,
    }
    own_visits = (v.site_id == site_id) & (v.plate == plate)
    gone.plates += connection.execute(update(visits).where(own_visits).values(erased)).rowcount
    gone.orders += delete_orders(connection, (orders.c.site_id == site_id) & (orders.c.plate == plate))
    # What is left are reviews of other people's orders: an operator must still be able to decide them.
    columns = (w.read_plate, w.ordered_plate, w.operator_plate)
    without = {column.name: case((column == plate, None), else_=column) for column in columns}
    gone.plates += connection.execute(update(reviews).where(own_reviews).values(without)).rowcount


def _forget_pictures(connection: Connection, site_id: str, sha256s: set[str | None], gone: Gone) -> None:
    """Delete pictures; where one is missing, a review says so."""
    wanted = sha256s - {None}
    for table in (evidence, wanted_pictures):
        of_site = (table.c.site_id == site_id) & table.c.sha256.in_(wanted)
        gone.pictures += delete_rows(connection, table, of_site)
    here = (reviews.c.site_id == site_id) & reviews.c.evidence_sha256.in_(wanted)
    connection.execute(update(reviews).where(here).values(evidence_sha256=None))
