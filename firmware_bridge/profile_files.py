"""Reading sensor profiles from TOML files: every fault of a file is reported at once."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from firmware_bridge.errors import Fault, ProfileError
from firmware_bridge.profile_checks import contradictions
from firmware_bridge.profiles import SensorProfile


def load_profile(path: Path) -> SensorProfile:
    """Read and check one profile. Raises ProfileError with all faults of the file."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as exc:
        fault = Fault(key="file", got=exc.strerror, remedy="make it readable")
        raise ProfileError(str(path), [fault], name=path.stem) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as exc:
        fault = Fault(key="file", got=str(exc), remedy="correct the TOML")
        raise ProfileError(str(path), [fault], name=path.stem) from exc
    try:
        profile = SensorProfile.model_validate(document)
        faults = list(contradictions(profile))
    except ValidationError as error:
        faults = list(_faults_of(error))
    if faults:
        name = document.get("name")
        raise ProfileError(str(path), faults, name=name if isinstance(name, str) else path.stem)
    return profile


def _faults_of(error: ValidationError) -> Iterator[Fault]:
    for detail in error.errors():
        got = None if detail["type"] == "missing" else detail["input"]
        yield Fault(key=_key(detail["loc"]), got=got, remedy=_remedy(detail))


def _key(location: tuple[int | str, ...]) -> str:
    """`faults[0].signal` for ("faults", 0, "signal")."""
    key = ""
    for part in location:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
    return key or "file"


def _remedy(detail: ErrorDetails) -> str:
    match detail["type"]:
        case "missing":
            return "is missing: add it"
        case "extra_forbidden":
            known = ", ".join(sorted(_known_keys(detail["loc"])))
            return f"unknown key: known here are {known}"
        case "enum" | "literal_error":
            return f"write one of {detail['ctx']['expected']}"
        case "value_error":
            return str(detail["ctx"]["error"])
        case "model_type" | "mapping_type" | "dict_type":
            return "write a table here"
        case "string_type" | "string_too_short":
            return "write a text in quotes"
        case "bool_type":
            return "write true or false"
        case _:
            message = detail["msg"]
            return message[0].lower() + message[1:]


def _known_keys(location: tuple[int | str, ...]) -> Iterator[str]:
    """The keys that the table of an unknown key can have."""
    schema = SensorProfile.model_json_schema()
    here: Mapping[str, Any] = schema
    for part in location[:-1]:
        inner = here.get("items", {}) if isinstance(part, int) else here.get("properties", {}).get(part)
        inner = here.get("additionalProperties", {}) if inner is None else inner
        options = inner.get("anyOf", [inner])
        reference = next((option["$ref"] for option in options if "$ref" in option), None)
        here = schema["$defs"][reference.rsplit("/", 1)[1]] if reference else options[0]
    yield from here.get("properties", {})
