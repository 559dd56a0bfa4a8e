"""What is wrong with a URL or an address of the settings file, before anybody asks it."""

from ipaddress import ip_address
from urllib.parse import urlsplit


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
