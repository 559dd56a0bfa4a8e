"""Which berths there are, where they lie, and which pole watches them; loaded from a file.

```toml
[[sites]]
site_id = "demo"
name = "Demo street"
time_zone = "Asia/Shanghai"

[[berths]]
site_id = "demo"
berth_no = "1001"
device_id = "pole-1"
pole_code = "P1-7Q4K"    # printed on the pole; entering it proves presence
zone_id = "north"
lat = 31.2304
lon = 121.4737
kerb_order = 1           # along the kerb, within the zone
```
"""

import json
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import available_timezones

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from sqlalchemy import Connection, select, update

from cloud_endpoint import audit
from cloud_endpoint.database import insert
from cloud_endpoint.errors import ConfigError
from cloud_endpoint.ids import new_id
from cloud_endpoint.tables import berth_assignments, berths, sites
from edged.wire.base import BerthNo, DeviceId

SiteId = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{1,32}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_.-]{1,64}$")]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SiteRow(_Row):
    """A street or district with one operator."""

    site_id: SiteId
    name: Annotated[str, Field(min_length=1, max_length=200)]
    time_zone: str = "Asia/Shanghai"

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("not an IANA time zone such as Asia/Shanghai")
        return value


class BerthRow(_Row):
    """A berth as painted on the street."""

    site_id: SiteId
    berth_no: BerthNo
    device_id: DeviceId | None = None
    pole_code: Word | None = None
    zone_id: Word | None = None
    lat: Annotated[float, Field(ge=-90, le=90)] | None = None
    lon: Annotated[float, Field(ge=-180, le=180)] | None = None
    kerb_order: int = 0
    in_service: bool = True


class RegistryFile(_Row):
    """Sites and berths; loading it again changes what differs and removes nothing."""

    sites: tuple[SiteRow, ...] = ()
    berths: tuple[BerthRow, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name, keys in (
            ("site", [site.site_id for site in self.sites]),
            ("berth", [f"{berth.site_id} {berth.berth_no}" for berth in self.berths]),
        ):
            twice = sorted(key for key, count in Counter(keys).items() if count > 1)
            if twice:
                raise ValueError(f"{name} {twice[0]} stands here more than once; remove one")
        return self


def read_registry(path: Path) -> RegistryFile:
    """Return the contents of a .toml or .json registry file; raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
        data: Any = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return RegistryFile.model_validate(data)
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}; check the path and its rights") from exc
    except ValidationError as exc:
        lines = (
            f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg']}, got {e['input']!r}" for e in exc.errors()
        )
        raise ConfigError("\n".join(lines)) from exc
    except ValueError as exc:  # both decoders'
        raise ConfigError(f"{path}: not valid {path.suffix[1:].upper()}: {exc}") from exc


def load_registry(connection: Connection, registry: RegistryFile, now_ms: int) -> tuple[int, int]:
    """Write the registry; returns how many sites and berths it names."""
    for site in registry.sites:
        row = site.model_dump()
        statement = insert(connection, sites).values(row)
        connection.execute(statement.on_conflict_do_update(index_elements=["site_id"], set_=row))
    known = set(connection.execute(select(sites.c.site_id)).scalars())
    for berth in registry.berths:
        if berth.site_id not in known:
            raise ConfigError(
                f"berth {berth.berth_no}: unknown site {berth.site_id!r}; add it under [[sites]]"
            )
        _put_berth(connection, berth, now_ms)
    for site_id, count in Counter(berth.site_id for berth in registry.berths).items():
        audit.append(
            connection,
            site_id,
            actor="cli",
            action="registry_loaded",
            subject=site_id,
            now_ms=now_ms,
            berths=count,
        )
    return len(registry.sites), len(registry.berths)


def _put_berth(connection: Connection, row: BerthRow, now_ms: int) -> None:
    here = (berths.c.site_id == row.site_id) & (berths.c.berth_no == row.berth_no)
    found = connection.execute(select(berths).where(here)).one_or_none()
    wanted = row.model_dump()
    if found is None:
        berth_id = new_id("berth")
        connection.execute(
            berths.insert().values(berth_id=berth_id, created_ms=now_ms, changed_ms=now_ms, **wanted)
        )
        if row.device_id is not None:
            assign(connection, row.site_id, row.device_id, row.berth_no, berth_id, now_ms=now_ms)
        return
    if all(found._mapping[name] == value for name, value in wanted.items()):
        return
    connection.execute(update(berths).where(here).values(changed_ms=now_ms, **wanted))
    if row.device_id is not None and row.device_id != found.device_id:
        assign(
            connection,
            row.site_id,
            row.device_id,
            row.berth_no,
            found.berth_id,
            now_ms=now_ms,
            taken_over=found.device_id is not None,
        )


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
    berth = _find(connection, site_id, berth_no)
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
    """Register the berths that a pole reports and nobody loaded; they have no place until they are.

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
