"""What can go wrong in the cloud. A request that cannot be granted is a `Problem` (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from edged.wire.problem import Problem

__all__ = ["PROBLEM_BASE", "CloudError", "ConfigError", "DatabaseUnavailable", "Problem", "invalid"]

PROBLEM_BASE = "https://edged.example/problems/"


class CloudError(Exception):
    """Base of everything this package raises on purpose."""


class ConfigError(CloudError):
    """Settings or a registry file that cannot be used; the message names file, key, value and remedy."""


class DatabaseUnavailable(CloudError):
    """The database, or this worker, cannot serve now; the request may be sent again."""


def invalid(error: Mapping[str, Any]) -> Problem:
    """Return the problem of a request that does not fit its schema, from pydantic's first error."""
    parts = [str(part) for part in error["loc"]]
    if parts and parts[0] in ("body", "query", "path", "header"):
        del parts[0]
    return Problem(
        "request-invalid",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        str(error["msg"]),
        field=".".join(parts) or "body",
        remedy="correct this field; the API is described in /openapi.json",
    )
