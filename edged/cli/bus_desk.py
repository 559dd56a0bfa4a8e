"""Where the bus tools' questions go: to the running daemon, which owns the ports, or to buses of our own."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

if TYPE_CHECKING:
    from edged.settings import Settings
    from firmware_bridge import SensorSettings
    from firmware_bridge.frames import Request
    from firmware_bridge.transaction import Outcome


BusName = Annotated[str | None, typer.Option("--bus", help="Which bus; needed when there are several.")]


class Desk(Protocol):
    """`through_daemon`: the daemon has the ports, at the settings of its own file."""

    through_daemon: bool

    def call(self, command: str, **arguments: Any) -> Any:
        """Return the answer of a bus command (see firmware_bridge.desk). Raises BridgeError."""


class _DaemonDesk:
    through_daemon = True

    def __init__(self, settings: "Settings") -> None:
        self._directory = settings.store.directory

    def call(self, command: str, **arguments: Any) -> Any:
        from edged.control import ControlError, ask
        from firmware_bridge import BridgeError

        try:
            return ask(self._directory, command, **arguments)
        except ControlError as error:
            raise BridgeError(str(error)) from error


class _OwnDesk:
    through_daemon = False

    def __init__(self, settings: "Settings") -> None:
        from edged.sensor_buses import sensor_buses
        from firmware_bridge.desk import bus_commands

        self.buses = sensor_buses(settings, lambda _observation: None)
        self._commands = bus_commands({bus.settings.name: bus for bus in self.buses})

    def call(self, command: str, **arguments: Any) -> Any:
        return self._commands[command](arguments)


@contextmanager
def open_desk(settings: "Settings") -> Iterator[Desk]:
    """The daemon's desk if it runs, else buses of our own for as long as the command lasts."""
    from edged.control import NotRunning, ask

    try:
        ask(settings.store.directory, "buses")
        yield _DaemonDesk(settings)
        return
    except NotRunning:
        pass
    desk = _OwnDesk(settings)
    stop = threading.Event()
    with ExitStack() as stack:
        for bus in desk.buses:
            thread = threading.Thread(target=bus.run, args=(stop,), name=f"bus {bus.settings.name}")
            thread.start()
            stack.callback(thread.join)
        stack.callback(stop.set)
        yield desk


def ask_through(desk: Desk, bus: str, request: "Request", response_timeout_s: float) -> "Outcome":
    """Put one request through a desk; the outcome as the bus judged it."""
    from firmware_bridge.transaction import Cause, Outcome

    answer = desk.call(
        "bus_ask",
        bus=bus,
        device_id=request.device_id,
        function=request.function,
        address=request.address,
        count=request.count,
        values=list(request.values),
        response_timeout_s=response_timeout_s,
    )
    return Outcome(
        request=request,
        cause=Cause(answer["cause"]),
        values=tuple(answer["values"]),
        exception_code=answer["exception_code"],
        reply_s=None if answer["reply_ms"] is None else answer["reply_ms"] / 1000,
    )


@contextmanager
def bridge_errors() -> Iterator[None]:
    """End the command with the error's own words instead of a traceback."""
    from edged.control import ControlError
    from firmware_bridge import BridgeError

    try:
        yield
    except (BridgeError, ControlError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def daemon_runs(settings: "Settings") -> bool:
    """Whether a daemon owns the ports now."""
    from edged.control import NotRunning, ask

    try:
        ask(settings.store.directory, "buses")
    except NotRunning:
        return False
    return True


def berths_of(settings: "Settings") -> dict[tuple[str, int], str]:
    """The berth that each channel of each sensor watches."""
    return {berth.watched_by: berth.berth_no for berth in settings.berth}


def bus_name(settings: "Settings", wanted: str | None) -> str:
    """The bus that is meant: the named one, or the only one."""
    names = [bus.name for bus in settings.bus]
    if wanted is None and len(names) == 1:
        return str(names[0])
    if wanted not in names:
        raise typer.BadParameter(f"got {wanted!r}: name one of {', '.join(names)} with --bus")
    return str(wanted)


def sensor_named(settings: "Settings", name: str) -> "tuple[str, SensorSettings]":
    """A sensor of the settings and the name of its bus."""
    from edged.sensor_buses import sensor_profiles, sensors_of

    profiles = sensor_profiles(settings)
    for bus in settings.bus:
        for sensor in sensors_of(settings, bus.name, profiles):
            if sensor.name == name:
                return bus.name, sensor
    known = ", ".join(sensor.name for sensor in settings.sensor)
    raise typer.BadParameter(f"got {name!r}: there are {known}")
