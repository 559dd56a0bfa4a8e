"""The one place where errors of requests, urllib3, ssl, the socket and the codecs become causes."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum

import requests.exceptions as requests_errors
import urllib3.exceptions as urllib3_errors

from edged.exchange.deadline import Deadline


class ExchangeFault(StrEnum):
    """Why there is no whole answer."""

    BAD_ADDRESS = "bad_address"
    UNSENDABLE = "unsendable"
    UNKNOWN_HOST = "unknown_host"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    TIMEOUT = "timeout"
    BROKEN_OFF = "broken_off"
    CUT_OFF = "cut_off"
    BAD_ANSWER = "bad_answer"
    TOO_LARGE = "too_large"
    REDIRECTED = "redirected"


class ExchangeError(Exception):
    """An exchange that gave no whole answer.

    `fault` is the cause to decide by. The message says what the peer did, without address, token or password:
    the caller knows whom it asked, and what its reader can do.
    """

    def __init__(self, fault: ExchangeFault, cause: str) -> None:
        super().__init__(cause)
        self.fault = fault
        self.cause = cause


# What the libraries raise for a request that went wrong. ValueError: codecs and address parsers.
LIBRARY_ERRORS = (OSError, ValueError, OverflowError, http.client.HTTPException, urllib3_errors.HTTPError)

_Kinds = tuple[type[BaseException], ...]

# In order: the first row that fits anything in the chain of causes is the answer.
_FAULTS: tuple[tuple[_Kinds, ExchangeFault, str], ...] = (
    ((socket.gaierror,), ExchangeFault.UNKNOWN_HOST, "its host name is not known"),
    (
        (
            urllib3_errors.LocationValueError,
            requests_errors.InvalidURL,
            requests_errors.InvalidSchema,
            requests_errors.MissingSchema,
            OverflowError,  # a port above 65535
        ),
        ExchangeFault.BAD_ADDRESS,
        "this is not an address that can be asked",
    ),
    (
        (UnicodeEncodeError, requests_errors.InvalidHeader),
        ExchangeFault.UNSENDABLE,
        "the request has characters that HTTP cannot carry",
    ),
    (
        (TimeoutError, requests_errors.Timeout, urllib3_errors.TimeoutError),
        ExchangeFault.TIMEOUT,
        "{late}",
    ),
    (
        (ssl.SSLError, requests_errors.SSLError, urllib3_errors.SSLError),
        ExchangeFault.TLS,
        "TLS was refused ({detail})",
    ),
    ((ConnectionRefusedError,), ExchangeFault.REFUSED, "refused the connection"),
    ((urllib3_errors.DecodeError,), ExchangeFault.BAD_ANSWER, "sent an answer that cannot be decompressed"),
    # A chunk without a valid length too: http.client tells it no better from a connection that ended there.
    (
        (http.client.IncompleteRead, urllib3_errors.IncompleteRead),
        ExchangeFault.CUT_OFF,
        "broke off in the middle of the answer",
    ),
    ((ValueError,), ExchangeFault.BAD_ANSWER, "sent an answer that is not HTTP ({detail})"),
    ((ConnectionError,), ExchangeFault.BROKEN_OFF, "broke off the connection ({detail})"),
    ((http.client.HTTPException,), ExchangeFault.BAD_ANSWER, "sent an answer that is not HTTP ({detail})"),
)


def error_of(exc: Exception, deadline: Deadline) -> ExchangeError:
    """Return the cause behind an error of the libraries."""
    causes = list(_causes(exc))
    for kinds, fault, what in _FAULTS:
        found = [cause for cause in causes if isinstance(cause, kinds)]
        if found:
            return ExchangeError(fault, what.format(detail=_detail(found[-1]), late=_late(deadline)))
    return ExchangeError(ExchangeFault.UNREACHABLE, f"cannot be reached ({_detail(causes[-1])})")


def _late(deadline: Deadline) -> str:
    if deadline.has_passed:
        return f"the answer did not end within {deadline.bounds.deadline_s:g} s"
    return f"no answer within {deadline.wait_s:g} s"


def _detail(cause: BaseException) -> str:
    """Return the cause in words, without the library's wrapping: bytes of the peer are never shown whole."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return type(cause).__name__


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
