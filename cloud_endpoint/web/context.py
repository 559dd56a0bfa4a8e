"""What the routes share: the service behind them, and the caller's bearer token."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from cloud_endpoint.access.credentials import unauthorised
from cloud_endpoint.database.service import Service

device_scheme = HTTPBearer(scheme_name="device", description="A pole's token", auto_error=False)
terminal_scheme = HTTPBearer(scheme_name="terminal", description="A terminal's token", auto_error=False)
operator_scheme = HTTPBearer(scheme_name="operator", description="An operator's token", auto_error=False)

Shown = HTTPAuthorizationCredentials | None


def _required(shown: Shown) -> str:
    if shown is None:
        raise unauthorised("send the header Authorization: Bearer TOKEN")
    return shown.credentials


async def _device(shown: Annotated[Shown, Depends(device_scheme)]) -> str:
    return _required(shown)


async def _terminal(shown: Annotated[Shown, Depends(terminal_scheme)]) -> str:
    return _required(shown)


async def _operator(shown: Annotated[Shown, Depends(operator_scheme)]) -> str:
    return _required(shown)


async def _service(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


DeviceToken = Annotated[str, Depends(_device)]
TerminalToken = Annotated[str, Depends(_terminal)]
OperatorToken = Annotated[str, Depends(_operator)]
ThisService = Annotated[Service, Depends(_service)]
