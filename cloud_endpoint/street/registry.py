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

from cloud_endpoint.base.errors import ConfigError
from cloud_endpoint.base.ids import new_id
from cloud_endpoint.database.engine import insert
from cloud_endpoint.database.tables import berths, sites
from cloud_endpoint.records import audit
from cloud_endpoint.street import berth_changes
from edged.wire.base import BerthNo, DeviceId

SiteId = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{1,32}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_.-]{1,64}$")]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SiteRow(_Row):
    """A street or district with one operator."""

    site_id: SiteId
    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
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
    kerb_order: Annotated[int, Field(ge=-(2**31), lt=2**31)] = 0
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
    berth_changes.require_own_poles(
        connection, {(berth.site_id, berth.device_id) for berth in registry.berths if berth.device_id}
    )
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
            berth_changes.assign(
                connection, row.site_id, row.device_id, row.berth_no, berth_id, now_ms=now_ms
            )
        return
    if all(found._mapping[name] == value for name, value in wanted.items()):
        return
    connection.execute(update(berths).where(here).values(changed_ms=now_ms, **wanted))
    if row.device_id is not None and row.device_id != found.device_id:
        berth_changes.assign(
            connection,
            row.site_id,
            row.device_id,
            row.berth_no,
            found.berth_id,
            now_ms=now_ms,
            taken_over=found.device_id is not None,
        )
