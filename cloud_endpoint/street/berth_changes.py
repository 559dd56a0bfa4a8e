"""Berths change their number, pole or service and stay the same berth: visits and orders stay their own."""

import re
from collections.abc import Iterable, Set
from typing import Any

from sqlalchemy import Connection, select, update

from cloud_endpoint.base.errors import ConfigError
from cloud_endpoint.base.ids import new_id
from cloud_endpoint.database.engine import insert
from cloud_endpoint.database.tables import berth_assignments, berths, devices
from cloud_endpoint.records import audit
from edged.domain.berth import BERTH_NO_PATTERN
from edged.wire.base import DEVICE_ID_PATTERN


def assign(
    connection: Connection,
    site_id: str,
    device_id: str,
    berth_no: str,
    berth_id: str,
    *,
    now_ms: int,
    taken_over: bool = False,
) -> None:
    """Record that from now on the pole means this berth by this number.

    The first time a pole uses a number it has always meant that, and late events find their berth;
    unless it has `taken_over` the berth from another pole.
    """
    a = berth_assignments.c
    used = (
        taken_over
        or connection.execute(
            select(a.from_ms).where(a.site_id == site_id, a.device_id == device_id, a.berth_no == berth_no)
        ).first()
    )
    key = {
        "site_id": site_id,
        "device_id": device_id,
        "berth_no": berth_no,
        "from_ms": now_ms if used else 0,
    }
    statement = insert(connection, berth_assignments).values(**key, berth_id=berth_id)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_={"berth_id": berth_id}))


def renumber(connection: Connection, site_id: str, berth_no: str, new_no: str, now_ms: int) -> None:
    """Give a berth another number; its visits and orders stay its own. Raises ConfigError."""
    if not re.fullmatch(BERTH_NO_PATTERN, new_no):
        raise ConfigError(f"berth number {new_no!r}: use 1 to 32 of the letters A-Z and a-z, digits, -")
    berth = _find(connection, site_id, berth_no)
    here = (berths.c.site_id == site_id) & (berths.c.berth_no == new_no)
    if connection.execute(select(berths.c.berth_id).where(here)).first() is not None:
        raise ConfigError(f"berth {new_no} exists already; renumber that one first")
    _change(connection, site_id, berth.berth_id, now_ms, berth_no=new_no)
    if berth.device_id is not None:
        assign(connection, site_id, berth.device_id, new_no, berth.berth_id, now_ms=now_ms)
    _audit(connection, site_id, berth_no, now_ms, "berth_renumbered", new_no=new_no)


def move(connection: Connection, site_id: str, berth_no: str, device_id: str, now_ms: int) -> None:
    """Have another pole watch a berth; what the old one reports of it from now on is refused."""
    require_device_id(device_id)
    berth = _find(connection, site_id, berth_no)
    require_own_poles(connection, {(site_id, device_id)})
    _change(connection, site_id, berth.berth_id, now_ms, device_id=device_id)
    assign(connection, site_id, device_id, berth_no, berth.berth_id, now_ms=now_ms, taken_over=True)
    _audit(connection, site_id, berth_no, now_ms, "berth_moved", device_id=device_id)


def set_service(
    connection: Connection, site_id: str, berth_no: str, *, in_service: bool, now_ms: int
) -> None:
    """Take a berth out of service (it is never offered) or back."""
    berth = _find(connection, site_id, berth_no)
    _change(connection, site_id, berth.berth_id, now_ms, in_service=in_service)
    _audit(connection, site_id, berth_no, now_ms, "berth_service", in_service=in_service)


def require_device_id(device_id: str) -> None:
    """Refuse a name that no pole can enrol under; raises ConfigError."""
    if not re.fullmatch(DEVICE_ID_PATTERN, device_id):
        raise ConfigError(f"device id {device_id!r}: use 1 to 64 letters, digits, _, . and -")


def require_own_poles(connection: Connection, wanted: Set[tuple[str, str]]) -> None:
    """Refuse poles (site, device) that are enrolled for another site; raises ConfigError."""
    d = devices.c
    enrolled = connection.execute(select(d.device_id, d.site_id)).all() if wanted else []
    site_of = {device_id: site_id for device_id, site_id in enrolled}
    for site_id, device_id in sorted(wanted):
        if site_of.get(device_id, site_id) != site_id:
            raise ConfigError(
                f"device {device_id!r} is enrolled for site {site_of[device_id]!r}, not for {site_id!r}; "
                "give the berth a pole of its own site"
            )


def _find(connection: Connection, site_id: str, berth_no: str) -> Any:
    here = (berths.c.site_id == site_id) & (berths.c.berth_no == berth_no)
    row = connection.execute(select(berths).where(here)).one_or_none()
    if row is None:
        raise ConfigError(
            f"there is no berth {berth_no!r} at site {site_id!r}; load it: edged-cloud load FILE"
        )
    return row


def _change(connection: Connection, site_id: str, berth_id: str, now_ms: int, **values: Any) -> None:
    connection.execute(
        update(berths)
        .where(berths.c.site_id == site_id, berths.c.berth_id == berth_id)
        .values(changed_ms=now_ms, **values)
    )


def _audit(
    connection: Connection, site_id: str, berth_no: str, now_ms: int, action: str, **detail: Any
) -> None:
    audit.append(connection, site_id, actor="cli", action=action, subject=berth_no, now_ms=now_ms, **detail)


def adopt(
    connection: Connection, site_id: str, device_id: str, numbers: Iterable[str], now_ms: int
) -> list[str]:
    """Register berths that a pole reports and that are not loaded; until they are, they have no place.

    Returns the numbers that belong to another pole, and leaves those alone.
    """
    foreign = []
    for berth_no in sorted(set(numbers)):
        here = (berths.c.site_id == site_id) & (berths.c.berth_no == berth_no)
        found = connection.execute(select(berths.c.berth_id, berths.c.device_id).where(here)).one_or_none()
        if found is not None and found.device_id not in (None, device_id):
            foreign.append(berth_no)
            continue
        if found is None:
            berth_id = new_id("berth")
            connection.execute(
                berths.insert().values(
                    site_id=site_id,
                    berth_id=berth_id,
                    berth_no=berth_no,
                    device_id=device_id,
                    in_service=True,
                    kerb_order=0,
                    created_ms=now_ms,
                    changed_ms=now_ms,
                )
            )
        else:
            berth_id = found.berth_id
            connection.execute(update(berths).where(here).values(device_id=device_id))
        if found is None or found.device_id is None:
            assign(connection, site_id, device_id, berth_no, berth_id, now_ms=now_ms)
    return foreign
