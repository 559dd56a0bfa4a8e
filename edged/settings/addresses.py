"""What is wrong with a URL or an address of the settings file, before anybody asks it."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

_SECRET_IN_URL = re.compile(r"((?:^|[?&/;])(?:password|passwd|pass|pwd|psk|token)=)[^&/;]*", re.IGNORECASE)


def url_fault(url: str, schemes: tuple[str, ...]) -> str | None:
    """Return why `url` cannot be asked over one of `schemes`, as a remedy; None when it can."""
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(url)
        port_is_good = parts.port != 0
    except ValueError as error:
        return f"is not a URL ({error}); write {wanted}host:port/path"
    if parts.scheme not in schemes or not parts.hostname:
        return f"is not a URL that can be asked; write {wanted}host/path"
    if not port_is_good or any(character.isspace() for character in url):
        return f"holds a space or port 0; write {wanted}host:port/path"
    return None


def masked_url(url: str) -> str:
    """Return `url` without its user and password, wherever they stand in it; it need not be a good URL."""
    head, slashes, rest = url.partition("//")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    # A password that holds / or # ends the authority too early: a port would be a number.
    if "@" not in authority and not authority.rpartition(":")[2].isdigit() and ":" in authority:
        authority = rest
    shown = head + slashes + rest[authority.rfind("@") + 1 :]
    return _SECRET_IN_URL.sub(r"\1***", shown)


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Whether a socket can listen there without a name server."""
    try:
        return host == "localhost" or ip_address(host) is not None
    except ValueError:
        return False
