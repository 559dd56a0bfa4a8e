"""Addresses of other services, checked where they enter."""

import re
from urllib.parse import urlsplit

MOST_LETTERS = 500  # what the tables hold
_VISIBLE = re.compile(r"[!-~]+")


def url_fault(text: str) -> str | None:
    """Return what is wrong with the URL of a service that is called over HTTP, None if nothing is."""
    if len(text) > MOST_LETTERS:
        return f"has more than {MOST_LETTERS} characters"
    if not _VISIBLE.fullmatch(text):
        return "has characters that no URL has; write others as %XX"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as exc:  # a port or an IPv6 address that is none
        return f"is no URL: {exc}"
    if parts.scheme not in ("http", "https"):
        return "does not begin with http:// or https://"
    if not parts.hostname or port == 0:
        return "names no host that can be reached"
    return None


def base_url_fault(text: str) -> str | None:
    """Return what is wrong with a URL that paths are appended to, None if nothing is."""
    return url_fault(text) or ("has a query or a fragment" if set("?#") & set(text) else None)
