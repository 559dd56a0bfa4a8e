"""From a TOML file to `Settings`, or to every trouble with it."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from edged.domain.berth import BERTH_NO_PATTERN
from edged.domain.trouble import Trouble
from edged.settings import model
from edged.settings.errors import SettingsError, refused
from edged.settings.rules import contradictions
from firmware_bridge.settings import NAME_FORM, PORT_FORM, BusSettings

_SECTIONS: Mapping[str, type] = {
    "site": model.SiteSettings,
    "bus": BusSettings,
    "sensor": model.SensorSettings,
    "camera": model.CameraSettings,
    "berth": model.BerthSettings,
    "model": model.ModelSettings,
    "store": model.StoreSettings,
    "uplink": model.UplinkSettings,
    "snapshot_api": model.SnapshotApiSettings,
}
_LISTS = frozenset({"bus", "sensor", "camera", "berth"})
_FORMS = {
    NAME_FORM: "1 to 32 of the letters A-Z and a-z, digits, _ . -",
    BERTH_NO_PATTERN: "1 to 32 of the letters A-Z and a-z, digits, -, none of them full-width",
    PORT_FORM: "the whole path of the device, such as /dev/serial/by-path/..., or tcp://host:502, "
    "or rtu+tcp://host:4196",
    model.METHOD_FORM: "GET, PUT or POST",
    model.WEB_FORM: "http:// or https:// and a host",
}


def load_settings(path: Path) -> model.Settings:
    """Return the checked settings of the TOML file at `path`.

    Relative paths in it are taken from its folder. Raises SettingsError with every trouble at once.
    """
    document = _parsed(path)
    try:
        settings = TypeAdapter(model.Settings).validate_python(
            document, context={"base": path.resolve().parent}
        )
    except ValidationError as error:
        raise SettingsError(path, tuple(_trouble(detail, document) for detail in error.errors())) from None
    if found := tuple(contradictions(settings)):
        raise SettingsError(path, found)
    return settings


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors begin with a BOM
    except OSError as error:
        raise _unusable(path, f"cannot be read ({error.strerror})", "name the file with --config") from error
    except UnicodeDecodeError as error:
        raise _unusable(path, f"is not UTF-8 (byte {error.start})", "save it as UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        remedy = "strings want quotes, lists want brackets"
        raise _unusable(path, f"is not valid TOML: {error}", remedy) from error


def _unusable(path: Path, cause: str, remedy: str) -> SettingsError:
    return SettingsError(path, (Trouble(where="file", cause=cause, remedy=remedy),))


def _trouble(detail: ErrorDetails, document: Mapping[str, Any]) -> Trouble:
    location = detail["loc"]
    where = _key(location, document)
    if detail["type"] == "missing":
        return Trouble(where=where, cause="is missing", remedy=_addition(location))
    got = repr(detail["input"])
    return refused(where, got if len(got) <= 80 else got[:77] + "...", _remedy(detail, location))


def _key(location: tuple[int | str, ...], document: Mapping[str, Any]) -> str:
    """`berth[2] "1003": polygon` for ("berth", 1, "polygon"): counted from one, with its own name."""
    if len(location) >= 2 and isinstance(location[1], int):
        section, index, *rest = location
        entry = document[str(section)][index]
        name = _own_name(entry) if isinstance(entry, dict) else None
        where = f"{section}[{location[1] + 1}]" + (f' "{name}"' if name else "")
    else:
        where, rest = str(location[0]) if location else "file", list(location[1:])
    return ": ".join([where, ".".join(map(str, rest))]) if rest else where


def _own_name(entry: Mapping[str, Any]) -> Any:
    return entry.get("berth_no", entry.get("name"))


def _remedy(detail: ErrorDetails, location: tuple[int | str, ...]) -> str:
    if detail["type"] == "unexpected_keyword_argument":
        return _unknown_key(location)
    if detail["type"] in ("dataclass_type", "tuple_type") and location and location[0] in _SECTIONS:
        return f"write it as {_header(str(location[0]))}"
    if detail["type"] == "string_pattern_mismatch":
        return f"write {_FORMS[detail['ctx']['pattern']]}"
    if detail["type"] in ("too_short", "too_long"):
        bound = detail["ctx"].get("min_length") or detail["ctx"].get("max_length")
        return f"has {detail['ctx']['actual_length']} entries, wants {bound}"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    message = detail["msg"]
    return message[0].lower() + message[1:]


def _addition(location: tuple[int | str, ...]) -> str:
    key = str(location[-1])
    if len(location) == 1:
        return f"add a section {_header(key)}"
    return f"add a line `{key} = ...` under {_header(str(location[0]))}"


def _unknown_key(location: tuple[int | str, ...]) -> str:
    known = _SECTIONS.get(str(location[0])) if len(location) > 1 else model.Settings
    if known is None or not is_dataclass(known):
        return "is not a known key"
    names = [field.name for field in fields(known)]
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return (
        f"is not a known key; did you mean {close[0]}?"
        if close
        else f"is not a known key; known are {', '.join(names)}"
    )


def _header(section: str) -> str:
    return f"[[{section}]]" if section in _LISTS else f"[{section}]"
