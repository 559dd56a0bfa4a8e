"""The one place where errors of requests, urllib3 and the socket become causes that a technician knows."""

import socket
from collections.abc import Iterator

import requests.exceptions as requests_errors
import urllib3.exceptions as urllib3_errors

from edged.camera.port import CameraFault

_Kinds = tuple[type[BaseException], ...]

# In order: the first that fits anything in the chain of causes is the answer.
_FAULTS: tuple[tuple[_Kinds, CameraFault, str], ...] = (
    ((socket.gaierror,), CameraFault.UNKNOWN_HOST, "its host name is not known"),
    ((urllib3_errors.IncompleteRead,), CameraFault.CUT_OFF, "broke off in the middle of the picture"),
    ((ConnectionRefusedError,), CameraFault.REFUSED, "refused the connection"),
    (
        (requests_errors.SSLError, urllib3_errors.SSLError),
        CameraFault.TLS,
        "its certificate is not trusted, or it speaks no TLS",
    ),
    (
        (TimeoutError, requests_errors.Timeout, urllib3_errors.TimeoutError),
        CameraFault.TIMEOUT,
        "did not answer within {timeout_s:g} s",
    ),
    (
        (requests_errors.InvalidURL, requests_errors.InvalidSchema, requests_errors.MissingSchema),
        CameraFault.NOT_FOUND,
        "this is not an address that can be asked",
    ),
)


def fault_of(exc: Exception, timeout_s: float) -> tuple[CameraFault, str]:
    """Return the cause behind `exc` and what happened, in words."""
    causes = list(_causes(exc))
    for kinds, fault, what in _FAULTS:
        if any(isinstance(cause, kinds) for cause in causes):
            return fault, what.format(timeout_s=timeout_s)
    return CameraFault.BROKEN_OFF, f"broke off the connection ({type(causes[-1]).__name__})"


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Yield `exc` and what led to it: requests and urllib3 wrap the socket's error three deep."""
    seen: list[BaseException] = []
    waiting = [exc]
    while waiting:
        cause = waiting.pop()
        if cause in seen:
            continue
        seen.append(cause)
        yield cause
        inner = [*cause.args, cause.__cause__, cause.__context__, getattr(cause, "reason", None)]
        waiting += [one for one in inner if isinstance(one, BaseException)]
