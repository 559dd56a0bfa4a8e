"""A berth and the vehicle in it: what a check looks at."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, select

from cloud_endpoint.database.tables import berths, visits
from cloud_endpoint.poles.visits import Sight
from edged.wire import BerthState


@dataclass(frozen=True, slots=True, kw_only=True)
class Berth:
    """What a check needs to know of a berth."""

    berth_id: str
    berth_no: str
    device_id: str | None
    pole_code: str | None
    lat: float | None
    lon: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A berth and the vehicle in it."""

    berth: Berth
    sight: Sight | None


SCENE_COLUMNS: dict[str, Column[Any]] = {
    **{name: berths.c[name] for name in ("berth_id", "berth_no", "device_id", "pole_code", "lat", "lon")},
    **{
        name: visits.c[name]
        for name in (
            "visit_id",
            "seen_ms",
            "ended_ms",
            "plate",
            "characters",
            "accepted",
            "captured_ms",
            "time_unsure",
        )
    },
    "state": berths.c.state,
    "state_ms": berths.c.state_ms,
}


def scene_of(connection: Connection, site_id: str, berth_id: str) -> Scene:
    """Return a berth and the vehicle in it."""
    b, v = berths.c, visits.c
    query = (
        select(*SCENE_COLUMNS.values())
        .select_from(berths)
        .outerjoin(visits, (v.site_id == b.site_id) & (v.visit_id == latest_visit()))
        .where(b.site_id == site_id, b.berth_id == berth_id)
    )
    return scene_in(dict(connection.execute(query).mappings().one()))


def latest_visit() -> Any:
    """Return the id of a berth's current visit, as a subquery beside `berths`."""
    v = visits.alias("latest")
    return (
        select(v.c.visit_id)
        .where(v.c.site_id == berths.c.site_id, v.c.berth_id == berths.c.berth_id)
        .order_by(v.c.seen_ms.desc())
        .limit(1)
        .correlate(berths)
        .scalar_subquery()
    )


def scene_in(row: dict[str, Any]) -> Scene:
    """Return the scene of a row with `SCENE_COLUMNS`."""
    sight = None
    if row["visit_id"] is not None and row["ended_ms"] is None and not _left_unseen(row):
        sight = Sight(
            visit_id=row["visit_id"],
            seen_ms=row["seen_ms"],
            plate=row["plate"],
            characters=tuple(row["characters"] or ()),
            accepted=row["accepted"],
            captured_ms=row["captured_ms"],
            time_unsure=row["time_unsure"],
        )
    berth = Berth(**{name: row[name] for name in Berth.__slots__})
    return Scene(berth=berth, sight=sight)


def _left_unseen(row: dict[str, Any]) -> bool:
    """Tell whether the pole has found the berth vacant since: the drive-out is late, or was lost."""
    return bool(
        row["state"] == BerthState.VACANT and row["state_ms"] is not None and row["seen_ms"] < row["state_ms"]
    )
