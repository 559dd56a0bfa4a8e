"""Host names to addresses, within a deadline."""

import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from urllib3.exceptions import LocationParseError

# (family, type, protocol, canonical name, address), as getaddrinfo returns them
Addresses = list[tuple[Any, ...]]
Resolver = Callable[..., Iterable[tuple[Any, ...]]]

_lock = threading.Lock()
_lookups: dict[tuple[str, int], "Future[Addresses]"] = {}


def addresses_of(host: str, port: int, within_s: float, resolver: Resolver = socket.getaddrinfo) -> Addresses:
    """Return the addresses of a host, in the resolver's order of preference.

    `resolver` has the parameters of getaddrinfo. Raises TimeoutError, socket.gaierror for an unknown name,
    and LocationParseError for a host that cannot be a name (too long, a label above 63 characters).
    """
    try:
        # an IP address is parsed only, in no time
        return list(resolver(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except socket.gaierror:
        pass
    except UnicodeError as exc:
        raise LocationParseError(f"{host[:80]!r} is too long for a host name") from exc
    return _lookup(host, port, resolver).result(within_s)


def _lookup(host: str, port: int, resolver: Resolver) -> "Future[Addresses]":
    """Return the lookup in progress for a name, or start one.

    getaddrinfo knows no timeout and cannot be interrupted: it runs in a thread that outlives a caller who
    gives up. Lookups of one name share a thread, so that a dead name server costs one thread a name.
    """
    with _lock:
        if (found := _lookups.get((host, port))) is not None:
            return found
        lookup: Future[Addresses] = Future()
        _lookups[host, port] = lookup
    # daemon: at exit the process must not wait for a name server. The thread holds nothing to be closed.
    threading.Thread(
        target=_run, args=(host, port, resolver, lookup), name=f"lookup {host}", daemon=True
    ).start()
    return lookup


def _run(host: str, port: int, resolver: Resolver, lookup: "Future[Addresses]") -> None:
    try:
        addresses = list(resolver(host, port, type=socket.SOCK_STREAM))
    except (OSError, ValueError) as exc:
        _forget(host, port)
        lookup.set_exception(exc)
    else:
        _forget(host, port)
        lookup.set_result(addresses)


def _forget(host: str, port: int) -> None:
    """Forget a lookup before its result is known: nothing is cached, the resolver does that."""
    with _lock:
        del _lookups[host, port]
