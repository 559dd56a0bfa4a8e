"""HTTP authentication chosen from the camera's own challenge: Digest if it offers it, Basic otherwise."""

import re
from typing import Any

import requests
from requests.auth import HTTPBasicAuth, HTTPDigestAuth
from requests.utils import parse_dict_header

_SCHEME = re.compile(r"(?:^|,)\s*(Digest|Basic)\s+", re.IGNORECASE)

# What requests can compute, best first. Hikvision firmware since 5.6 offers SHA-256 beside MD5.
_ALGORITHMS = ("SHA-512", "SHA-256", "SHA", "MD5", "MD5-SESS")


class ChallengeAuth(HTTPDigestAuth):
    """Answer a 401 with the best scheme that the camera offers.

    requests' own Digest merges several challenges into one and knows no Basic. The nonce of the last
    challenge is used again, so that later requests need no 401 first.
    """

    def __init__(self, username: str, password: str) -> None:
        super().__init__(username, password)
        # as UTF-8 (RFC 7617): requests itself encodes text in latin-1, and fails on other letters
        self._login = (username.encode(), password.encode())

    def handle_401(self, r: requests.Response, **kwargs: Any) -> requests.Response:
        challenge = choose_challenge(_challenges(r))
        if challenge is None:
            return r
        scheme, text = challenge
        if scheme == "digest":
            r.headers["www-authenticate"] = text
            answer: requests.Response = super().handle_401(r, **kwargs)  # type: ignore[no-untyped-call]
            return answer
        if "Authorization" in r.request.headers:
            return r  # refused once: a second try with the same password only feeds the lockout
        again = HTTPBasicAuth(self._login[0], self._login[1])(r.request.copy())
        answer = r.connection.send(again, **kwargs)
        answer.history.append(r)
        answer.request = again
        return answer


def choose_challenge(challenges: list[str]) -> tuple[str, str] | None:
    """Return (scheme, challenge) of the strongest challenge that can be answered, None if none can."""
    offers: list[tuple[int, str, str]] = []
    for text in challenges:
        if text.lower().startswith("basic"):
            offers.append((len(_ALGORITHMS), "basic", text))
            continue
        fields: dict[str, str | None] = parse_dict_header(text.partition(" ")[2])  # type: ignore[no-untyped-call]
        algorithm = str(fields.get("algorithm") or "MD5").upper()
        if algorithm in _ALGORITHMS and _is_whole(fields):
            offers.append((_ALGORITHMS.index(algorithm), "digest", text))
    if not offers:
        return None
    _, scheme, text = min(offers)
    return scheme, text


def _is_whole(fields: dict[str, str | None]) -> bool:
    """Tell whether requests can compute an answer; it fails on a challenge without realm, nonce or `auth`."""
    qop = fields.get("qop")
    return "realm" in fields and "nonce" in fields and (not qop or "auth" in qop.split(","))


def _challenges(response: requests.Response) -> list[str]:
    """Return the challenges one by one: cameras send several headers, or several in one header."""
    texts: list[str] = []
    for header in response.raw.headers.getlist("WWW-Authenticate"):
        starts = [match.start(1) for match in _SCHEME.finditer(header)]
        ends = [*starts[1:], len(header)]
        texts += [header[a:b].rstrip(", ") for a, b in zip(starts, ends, strict=True)]
    return texts
