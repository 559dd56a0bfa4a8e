"""The serial port: opening it, reading with deadlines, and what its errors mean. pyserial owns the device.

Reads and writes go to the file descriptor itself: pyserial's own `read` costs a select per call and knows
only one relative timeout.
"""

import errno
import fcntl
import os
import select
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import serial
from serial.rs485 import RS485Settings

from firmware_bridge.errors import PortError
from firmware_bridge.intruders import users_of
from firmware_bridge.settings import BusSettings, RtsLevel

_CHUNK_BYTES = 4096
_LOOK_EVERY_CALLS = 5  # through all processes: some milliseconds
_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL
_WAKING_S = 0.00004  # a sleep ends at least so much too late


class SerialLine:
    """An open port. Made by `open_serial_line`."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._modes = termios.tcgetattr(fd)
        self._calls = 0
        self._stolen_reads = 0

    def send(self, frame: bytes) -> None:
        """Hand a whole frame to the driver. Raises PortError."""
        try:
            written = os.write(self._fd, frame)
        except BlockingIOError:
            written = 0
        except OSError as exc:
            raise port_error(exc, self._name) from exc
        if written != len(frame):
            remedy = "the adapter sends nothing on: plug it in again, or exchange it"
            raise PortError(f"{self._name} took {written} of {len(frame)} characters", remedy)

    def read(self, until_s: float, not_before_s: float = 0.0) -> bytes:
        """What has arrived; waits for it until `until_s` (monotonic), and sleeps until `not_before_s` first.

        Empty if nothing came. Raises PortError.
        """
        wait_s = not_before_s - time.monotonic()
        if wait_s > 0:
            time.sleep(max(0.0, wait_s - _WAKING_S))
            while time.monotonic() < not_before_s:
                pass
        wait_s = until_s - time.monotonic()
        ready = self._poll.poll(max(0.0, 1000 * wait_s))
        return self._take(is_gone=bool(ready[0][1] & _GONE)) if ready else b""

    def intrusion(self, *, is_failing: bool) -> str:
        """What another program did: it read our characters, or set the port otherwise (that is undone).

        Where requests fail, a program that only has the port open is named too. Raises PortError where the
        port's name leads to another device by now.
        """
        with _as_port_errors(self._name):
            modes, device = termios.tcgetattr(self._fd), os.fstat(self._fd).st_rdev
            did = "reads from" if self._stolen_reads else ""
            if modes != self._modes:
                termios.tcsetattr(self._fd, termios.TCSANOW, self._modes)
                did = "has changed the settings of"
        self._stolen_reads = 0
        with suppress(OSError):
            if Path(self._name).stat().st_rdev != device:
                remedy = "the adapter that it names now is opened by itself"
                raise PortError(f"{self._name} leads to another adapter now", remedy)
        self._calls += is_failing
        users = users_of(device) if did or (is_failing and self._calls % _LOOK_EVERY_CALLS == 1) else ""
        return f"another program{users} {did or 'uses'} {self._name}" if did or users else ""

    def _take(self, *, is_gone: bool) -> bytes:
        try:
            data = os.read(self._fd, _CHUNK_BYTES)
        except BlockingIOError:
            return b""
        except OSError as exc:
            raise port_error(exc, self._name) from exc
        if not data and is_gone:
            raise PortError(f"{self._name} was unplugged", "plug the adapter in again; it is found by itself")
        # Characters were announced, and are not there: another program has read them.
        self._stolen_reads += not data
        return data


@contextmanager
def open_serial_line(settings: BusSettings) -> Iterator[SerialLine]:
    """Open the bus's port exclusively, with the shortest latency that the adapter allows.

    Raises PortError.
    """
    try:
        device = serial.Serial(
            settings.port,
            baudrate=settings.baudrate,
            parity=settings.parity.letter,
            stopbits=settings.stop_bits,
            timeout=0,
            exclusive=True,
        )
    except (OSError, ValueError, termios.error) as exc:
        raise port_error(exc, settings.port) from exc
    with device:
        if settings.rs485:
            is_high = settings.rts_on_send is RtsLevel.HIGH
            try:
                device.rs485_mode = RS485Settings(
                    rts_level_for_tx=is_high,
                    rts_level_for_rx=not is_high,
                    delay_before_tx=settings.rts_before_send_ms / 1000,
                    delay_before_rx=settings.rts_after_send_ms / 1000,
                )
            except (OSError, ValueError) as exc:
                remedy = "set rs485 = false unless the port switches its transmitter through RTS"
                raise PortError(f"{settings.port} cannot do RS-485 by RTS ({exc})", remedy) from exc
        _shorten_latency(device, settings.port)
        with _as_port_errors(settings.port), _held_alone(device.fileno()):
            device.reset_input_buffer()
            line = SerialLine(device.fileno(), settings.port)
            yield line


@contextmanager
def _held_alone(fd: int) -> Iterator[None]:
    """Let no other program open the port (root still can): few of them look at pyserial's lock."""
    fcntl.ioctl(fd, termios.TIOCEXCL)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.ioctl(fd, termios.TIOCNXCL)  # a pty would keep it


def sharpen_timers() -> None:
    """Let this thread's sleeps end when due: Linux adds 50 us otherwise, and t3.5 is 1750."""
    with suppress(OSError):
        Path(f"/proc/{threading.get_native_id()}/timerslack_ns").write_text("1000")


@contextmanager
def _as_port_errors(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, termios.error) as exc:
        raise port_error(exc, name) from exc


def _shorten_latency(device: serial.Serial, port: str) -> None:
    # FTDI adapters hold characters back for 16 ms by default. Not every driver and user can change that.
    with suppress(OSError, ValueError, NotImplementedError):
        device.set_low_latency_mode(True)
    timer = Path("/sys/bus/usb-serial/devices") / Path(port).resolve().name / "latency_timer"
    with suppress(OSError):
        timer.write_text("1")


def port_error(exc: Exception, name: str) -> PortError:
    """The one place where the operating system's errors get names and remedies."""
    code = exc.errno if isinstance(exc, OSError) else None
    if isinstance(exc, termios.error) and exc.args:
        code = exc.args[0]
    if code is None and "lock" in str(exc).lower():
        code = errno.EWOULDBLOCK
    match code:
        case errno.ENOENT | errno.ENXIO | errno.ENODEV:
            return PortError(f"{name} is not there", "plug the adapter in or correct the bus's port")
        case errno.EACCES | errno.EPERM:
            return PortError(f"{name} may not be opened", "add the user to the group dialout")
        case errno.EBUSY | errno.EWOULDBLOCK:
            return PortError(f"{name} is held by another process", "end it (fuser -v shows which one)")
        case errno.EIO:
            return PortError(f"{name} was unplugged", "plug the adapter in again; it is found by itself")
        case _:
            return PortError(f"{name} failed ({exc})", "check the adapter and the bus's settings")
