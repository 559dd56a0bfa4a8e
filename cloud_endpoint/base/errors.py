"""What can go wrong, as RFC 9457 problems: a stable `type`, the field at fault and a remedy."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

PROBLEM_BASE = "https://edged.example/problems/"


class CloudError(Exception):
    """Base of everything this package raises on purpose."""


class ConfigError(CloudError):
    """Settings or a registry file that cannot be used; the message names file, key, value and remedy."""


class DatabaseUnavailable(CloudError):
    """The database, or this worker, cannot serve now; the request may be sent again."""


class Problem(CloudError):
    """A request that cannot be granted.

    `slug` is the stable last part of the problem's `type`; `field` is where in the request, as a dotted
    path; `remedy` is what the caller can do about it.
    """

    def __init__(
        self,
        slug: str,
        status: HTTPStatus,
        detail: str,
        *,
        remedy: str,
        field: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.slug = slug
        self.status = status
        self.detail = detail
        self.remedy = remedy
        self.field = field
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, str | int]:
        """Return the `application/problem+json` object."""
        members: dict[str, str | int | None] = {
            "type": PROBLEM_BASE + self.slug,
            "title": self.slug.replace("-", " ").capitalize(),
            "status": int(self.status),
            "detail": self.detail,
            "field": self.field,
            "remedy": self.remedy,
        }
        return {key: value for key, value in members.items() if value is not None}


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
