"""Settings of the service: a TOML file, each value overridable by environment.

`[orders] hold_s` is overridden by `EDGED_CLOUD_ORDERS_HOLD_S`. All errors of a file are reported at
once, with file, key, value and remedy.
"""

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cloud_endpoint.base.check_rules import Rules
from cloud_endpoint.base.errors import ConfigError
from cloud_endpoint.base.urls import base_url_fault

ENVIRONMENT_PREFIX = "EDGED_CLOUD_"

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(_Section):
    """Where the service listens; `workers` are processes."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    workers: Count = 1
    public_url: str = "http://127.0.0.1:8080"
    # Whose X-Forwarded-For and -Proto are believed: addresses or networks of the proxies in front.
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        """The environment gives them in one line, with spaces or commas between."""
        return value.replace(",", " ").split() if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _each_a_network(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ipaddress.ip_network(network)
            except ValueError as exc:
                raise ValueError(f"{network!r} is no address or network such as 10.0.0.0/8") from exc
        return value

    @field_validator("public_url")
    @classmethod
    def _a_url(cls, value: str) -> str:
        fault = base_url_fault(value)
        if fault is not None:
            raise ValueError(f"{fault}; give the URL that drivers open, such as https://parking.example")
        return value.rstrip("/")


class DatabaseSettings(_Section):
    """An SQLAlchemy URL: `sqlite:////path/cloud.db` or `postgresql+psycopg://user@host/name`."""

    url: str = "sqlite:///cloud.db"
    pool_size: Count = 10


class OrderSettings(_Section):
    """Lifetimes of an order, its candidate tokens and its hold on a berth."""

    lifetime_s: Seconds = 900
    candidate_lifetime_s: Seconds = 600
    hold_s: Seconds = 900
    look_again_s: Seconds = 5  # how often a pending order is looked at without any news
    review_look_s: Seconds = 60  # how often the pole looks on while an order waits for an operator
    review_s: Seconds = 1800  # how long an order waits for an operator; then it expires


class CheckSettings(_Section):
    """The plate check; see `check_rules.Rules`."""

    reading_max_age_s: Seconds = 1800
    reading_grace_s: Annotated[float, Field(ge=0)] = 4
    doubt_below: Annotated[float, Field(ge=0, le=1)] = 0.99
    max_captures: Count = 3
    max_modifications: Count = 3

    def rules(self) -> Rules:
        """Return the rules in the unit of the pure code."""
        return Rules(
            reading_max_age_ms=round(self.reading_max_age_s * 1000),
            reading_grace_ms=round(self.reading_grace_s * 1000),
            doubt_below=self.doubt_below,
            max_captures=self.max_captures,
            max_modifications=self.max_modifications,
        )


class LimitSettings(_Section):
    """What bounds an attacker; the arithmetic is in docs/decisions/0041."""

    orders_per_account_per_day: Count = 20
    orders_per_client_per_day: Count = 20
    orders_per_zone_per_hour: Count = 600
    orders_per_address_per_hour: Count = 60  # of the driver's page: many phones share an address
    appeal_days: Count = 7  # after an order has ended
    appeals_per_account_per_day: Count = 5
    appeals_per_address_per_day: Count = 20  # of the driver's page
    offers_per_order: Count = 4
    # Requests that wait for an order (`?wait=`), in one worker; beyond that they are answered at once.
    long_polls_per_order: Count = 4
    long_polls_per_account: Count = 8
    long_polls_per_address: Count = 200
    long_polls_per_worker: Count = 1000
    near_m: Annotated[float, Field(gt=0)] = 100


class PoleSettings(_Section):
    """Exchange with the poles."""

    pull_timeout_s: Seconds = 8
    capture_lifetime_s: Seconds = 60
    max_clock_skew_s: Seconds = 120
    picture_max_age_s: Seconds = 30  # of a requested capture, when the pole signs it
    enrolment_code_lifetime_s: Seconds = 7 * 86_400
    sync_idle_s: Seconds = 5
    sync_busy_s: Seconds = 1
    longest_stay_h: Count = 72  # a longer stay is flagged: a drive-out was lost, or a clock was wrong


class PagesSettings(_Section):
    """The driver's page orders with these terminals' tokens, one a site; none: there is no page."""

    terminal_tokens: tuple[str, ...] = ()

    @field_validator("terminal_tokens", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        """The environment gives them in one line, with spaces or commas between."""
        return value.replace(",", " ").split() if isinstance(value, str) else value

    @field_validator("terminal_tokens")
    @classmethod
    def _each_a_token(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for token in value:
            name, dot, secret = token.partition(".")
            if not (name and dot and secret):
                raise ValueError("a token looks like NAME.SECRET, as edged-cloud terminal add printed it")
        return value


class RetentionSettings(_Section):
    """How many days each class of data is kept."""

    pictures_days: Count = 30
    plates_days: Count = 90
    orders_days: Count = 730
    visits_days: Count = 730
    audit_days: Count = 1825


class CloudSettings(_Section):
    """All settings of `edged-cloud`."""

    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    orders: OrderSettings = OrderSettings()
    check: CheckSettings = CheckSettings()
    limits: LimitSettings = LimitSettings()
    poles: PoleSettings = PoleSettings()
    retention: RetentionSettings = RetentionSettings()
    pages: PagesSettings = PagesSettings()


def load_settings(path: Path | None, environment: Mapping[str, str] = os.environ) -> CloudSettings:
    """Return the settings of a TOML file (None: defaults) and the environment.

    Raises ConfigError that lists everything wrong.
    """
    sections = _read_toml(path) if path else {}
    given = {}  # where a value comes from, if not from the file
    unknown = {name for name in environment if name.startswith(ENVIRONMENT_PREFIX)}
    unknown -= {f"{ENVIRONMENT_PREFIX}CONFIG"}
    for name, field in CloudSettings.model_fields.items():
        section_type = field.annotation
        assert isinstance(section_type, type)
        assert issubclass(section_type, BaseModel)
        for key in section_type.model_fields:
            variable = f"{ENVIRONMENT_PREFIX}{name}_{key}".upper()
            unknown.discard(variable)
            if variable in environment and isinstance(sections.setdefault(name, {}), dict):
                sections[name][key] = environment[variable]
                given[f"{name}.{key}"] = f"environment {variable}"
    wrong = [
        f"environment {variable}: no such setting; correct or unset it (names follow config/cloud.toml)"
        for variable in sorted(unknown)
    ]
    try:
        settings = CloudSettings.model_validate(sections)
    except ValidationError as exc:
        raise ConfigError("\n".join([*wrong, *_explain(str(path or "defaults"), given, exc)])) from exc
    if wrong:
        raise ConfigError("\n".join(wrong))
    return settings


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}; check the path and its rights") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: not valid TOML: {exc}") from exc


def _explain(file: str, given: Mapping[str, str], exc: ValidationError) -> list[str]:
    lines = []
    for error in exc.errors():
        key = ".".join(str(part) for part in error["loc"])
        source = next((given[name] for name in given if f"{key}.".startswith(f"{name}.")), f"{file}: {key}")
        if error["type"] == "extra_forbidden":
            lines.append(f"{source}: unknown key; remove it or correct its spelling")
        else:
            # A secret is not repeated where others may read it.
            got = "" if key.startswith(("pages.", "database.")) else f", got {error['input']!r}"
            lines.append(f"{source}: {error['msg']}{got}")
    return lines
