"""One HTTP exchange: bounded in time and bytes, redirected nowhere else, with one error family.

`HttpClient.ask` sends a request and returns the whole answer, or raises `ExchangeError`. Pole and cloud make
all their requests here, so that each caller is as safe from a hostile peer as the others.
"""

from edged.exchange.client import Answer, HttpClient
from edged.exchange.deadline import Bounds
from edged.exchange.faults import ExchangeError, ExchangeFault

__all__ = ["Answer", "Bounds", "ExchangeError", "ExchangeFault", "HttpClient"]
