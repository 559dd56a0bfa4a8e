"""Curbs of a site as Curb Data Specification 1.1: one area, its zones, and a space for each berth.

The registry knows points along a kerb. Lines and outlines follow from them: spaces are parallel to the line
through their neighbours and `SPACE_CM` long, or as long as the neighbours leave room. A berth without a
position is left out. docs/decisions/0054 says why outlines are closed lines.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import cos, hypot, radians
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from cloud_endpoint.database.tables import berths
from cloud_endpoint.street.cds import uuid_of
from cloud_endpoint.street.distance import METRES_PER_DEGREE

SPACE_CM = 600  # GB/T 51149: a small car parked along the kerb, 6.0 x 2.5 m
WIDTH_CM = 250

Point = tuple[float, float]  # lon, lat


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedBerth:
    """A berth with a position; `state` is what its pole reported."""

    berth_id: str
    berth_no: str
    zone_id: str
    at: Point
    state: str
    state_ms: int | None
    in_service: bool
    created_ms: int
    changed_ms: int


def located_berths(connection: Connection, site_id: str) -> dict[str, list[LocatedBerth]]:
    """Return the berths that have a zone and a position, by zone, in the order of the kerb."""
    b = berths.c
    query = (
        select(berths)
        .where(b.site_id == site_id, b.zone_id.is_not(None), b.lat.is_not(None), b.lon.is_not(None))
        .order_by(b.zone_id, b.kerb_order, b.berth_no)
    )
    zones: dict[str, list[LocatedBerth]] = {}
    for row in connection.execute(query):
        berth = LocatedBerth(
            berth_id=row.berth_id,
            berth_no=row.berth_no,
            zone_id=row.zone_id,
            at=(row.lon, row.lat),
            state=row.state,
            state_ms=row.state_ms,
            in_service=row.in_service,
            created_ms=row.created_ms,
            changed_ms=row.changed_ms,
        )
        zones.setdefault(berth.zone_id, []).append(berth)
    return zones


def areas(site_id: str, zones: dict[str, list[LocatedBerth]]) -> list[dict[str, Any]]:
    """Return the site's one area, none while no berth has a place."""
    everyone = [berth for kerb in zones.values() for berth in kerb]
    if not everyone:
        return []
    west, east = min(b.at[0] for b in everyone), max(b.at[0] for b in everyone)
    south, north = min(b.at[1] for b in everyone), max(b.at[1] for b in everyone)
    margin_m = SPACE_CM / 100
    corners = [
        _moved((west, south), -margin_m, -margin_m),
        _moved((east, south), margin_m, -margin_m),
        _moved((east, north), margin_m, margin_m),
        _moved((west, north), -margin_m, margin_m),
    ]
    return [
        {
            "curb_area_id": uuid_of(site_id, "area", site_id),
            "geometry": _outline(corners),
            "name": site_id,
            **_dates(everyone),
            "curb_zone_ids": [uuid_of(site_id, "zone", zone_id) for zone_id in zones],
        }
    ]


def zones_of(site_id: str, zones: dict[str, list[LocatedBerth]]) -> list[dict[str, Any]]:
    """Return a line along the kerb for each zone. Policies are the city's own records: there are none."""
    return [
        {
            "curb_zone_id": uuid_of(site_id, "zone", zone_id),
            # With a height: only so does it fit exactly one of the standard's two geometries.
            "geometry": {"type": "LineString", "coordinates": [[*point, 0] for point in _line(kerb)]},
            "curb_policy_ids": [],
            **_dates(kerb),
            "start_date": min(berth.created_ms for berth in kerb),
            "name": zone_id,
            "num_spaces": len(kerb),
            "available_spaces": sum(_available(berth) is True for berth in kerb),
            "parking_angle": "parallel",
            "curb_area_ids": [uuid_of(site_id, "area", site_id)],
            "curb_space_ids": [uuid_of(site_id, "berth", berth.berth_id) for berth in kerb],
        }
        for zone_id, kerb in zones.items()
    ]


def spaces(site_id: str, zones: dict[str, list[LocatedBerth]]) -> list[dict[str, Any]]:
    """Return a space for each berth, with whether it is available where that is known."""
    found = []
    for zone_id, kerb in zones.items():
        for i, berth in enumerate(kerb):
            length_m = _length_m(kerb, i)
            space: dict[str, Any] = {
                "curb_space_id": uuid_of(site_id, "berth", berth.berth_id),
                "geometry": _rectangle(berth.at, _along(kerb, i), length_m, WIDTH_CM / 100),
                "name": berth.berth_no,
                **_dates([berth]),
                "curb_zone_id": uuid_of(site_id, "zone", zone_id),
                "curb_area_ids": [uuid_of(site_id, "area", site_id)],
                "space_number": i + 1,
                "length": round(length_m * 100),
                "width": WIDTH_CM,
            }
            available = _available(berth)
            if available is not None and berth.state_ms is not None:
                space |= {"available": available, "availability_time": berth.state_ms}
            found.append(space)
    return found


def fits(curb: Mapping[str, Any], wanted: Mapping[str, UUID]) -> bool:
    """Tell whether a curb is, lies in or holds what filters such as `curb_zone_id` name."""
    return all(str(uuid) in (curb.get(name), *curb.get(f"{name}s", ())) for name, uuid in wanted.items())


def _available(berth: LocatedBerth) -> bool | None:
    if not berth.in_service or berth.state == "out_of_service":
        return False
    return {"vacant": True, "occupied": False}.get(berth.state)


def _dates(kerb: Iterable[LocatedBerth]) -> dict[str, int]:
    found = list(kerb)
    return {
        "published_date": min(berth.created_ms for berth in found),
        "last_updated_date": max(berth.changed_ms for berth in found),
    }


def _line(kerb: Sequence[LocatedBerth]) -> list[Point]:
    """Return the kerb from the outer end of the first berth to that of the last: two points at least."""
    half_m = SPACE_CM / 200
    first, last = _along(kerb, 0), _along(kerb, len(kerb) - 1)
    begin = _moved(kerb[0].at, -first[0] * half_m, -first[1] * half_m)
    end = _moved(kerb[-1].at, last[0] * half_m, last[1] * half_m)
    return [begin, *(berth.at for berth in kerb[1:-1]), end]


def _along(kerb: Sequence[LocatedBerth], i: int) -> tuple[float, float]:
    """Return the unit vector (east, north) along the kerb at a berth; east for a berth alone."""
    before, after = kerb[max(i - 1, 0)].at, kerb[min(i + 1, len(kerb) - 1)].at
    east, north = _offset_m(before, after)
    length_m = hypot(east, north)
    return (east / length_m, north / length_m) if length_m > 0 else (1.0, 0.0)


def _length_m(kerb: Sequence[LocatedBerth], i: int) -> float:
    """Return how long a space may be without lying over its neighbour's."""
    near = [hypot(*_offset_m(kerb[i].at, kerb[j].at)) for j in (i - 1, i + 1) if 0 <= j < len(kerb)]
    return min([SPACE_CM / 100, *(distance_m for distance_m in near if distance_m >= 1)])


def _rectangle(at: Point, along: tuple[float, float], length_m: float, width_m: float) -> dict[str, Any]:
    east, north = along
    return _outline(
        [
            _moved(
                at,
                a * east * length_m / 2 - b * north * width_m / 2,
                a * north * length_m / 2 + b * east * width_m / 2,
            )
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
    )


def _outline(corners: Sequence[Point]) -> dict[str, Any]:
    return {"type": "LineString", "coordinates": [list(point) for point in (*corners, corners[0])]}


def _offset_m(here: Point, there: Point) -> tuple[float, float]:
    east = (there[0] - here[0]) * METRES_PER_DEGREE * cos(radians((here[1] + there[1]) / 2))
    return east, (there[1] - here[1]) * METRES_PER_DEGREE


def _moved(at: Point, east_m: float, north_m: float) -> Point:
    lon = at[0] + east_m / (METRES_PER_DEGREE * cos(radians(at[1])))
    return round(lon, 7), round(at[1] + north_m / METRES_PER_DEGREE, 7)
