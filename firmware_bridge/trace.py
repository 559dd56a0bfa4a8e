"""Everything that went over a bus, as lines of JSON: written while it runs, read back by `replay`.

The first line says which bus and which sensors it was; each further line is one event, times in seconds
since the first event:

    {"t": 0.0, "sent": "0104000100016 00a"}          a request
    {"t": 0.021, "heard": "010402000238f1"}           characters as they came
    {"t": 0.026, "end": "ok", "values": [2], ...}     how it was judged
"""

import json
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymodbus.pdu import DecodePDU

from firmware_bridge.channels import Observation
from firmware_bridge.errors import BridgeError
from firmware_bridge.frames import Request, crc_fits
from firmware_bridge.master import BusMaster
from firmware_bridge.settings import BusSettings, SensorSettings
from firmware_bridge.transaction import Outcome, Transaction

_MOST_EVENTS = 20_000
_FORGOTTEN_AFTER_S = 30.0  # the recording command has ended
_LONGEST_GAP_S = 3600.0
_REQUESTS = DecodePDU(True)

Event = dict[str, Any]


class TraceBuffer:
    """A tap that keeps the last events.

    `since(n)` gives what came after event number n; old ones are dropped.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: deque[Event] = deque(maxlen=_MOST_EVENTS)
        self._count = 0
        self._first_s: float | None = None
        self._asked_s: float | None = None

    def sent(self, frame: bytes, at_s: float) -> None:
        self._add(at_s, {"sent": frame.hex()})

    def heard(self, data: bytes, at_s: float) -> None:
        self._add(at_s, {"heard": data.hex()})

    def ended(self, outcome: Outcome, at_s: float) -> None:
        event: Event = {"end": str(outcome.cause), "values": list(outcome.values)}
        if outcome.exception_code:
            event["exception"] = outcome.exception_code
        if outcome.reply_s is not None:
            event["reply_ms"] = round(outcome.reply_s * 1000, 2)
        self._add(at_s, event)

    def since(self, number: int, now_s: float) -> tuple[int, int, list[Event]]:
        """What came after event `number`: the newest one's number, how many are lost, the rest of them."""
        with self._lock:
            self._asked_s = now_s
            first = self._count - len(self._events)
            events = list(self._events)[max(0, number - first) :]
            return self._count, max(0, first - number), events

    def _add(self, at_s: float, event: Event) -> None:
        with self._lock:
            if self._asked_s is not None and at_s - self._asked_s > _FORGOTTEN_AFTER_S:
                self._events.clear()
                return
            if self._first_s is None:
                self._first_s = at_s
            self._events.append({"t": round(at_s - self._first_s, 6), **event})
            self._count += 1


def trace_header(settings: BusSettings, sensors: Iterable[SensorSettings]) -> Event:
    """The first line of a trace file."""
    return {
        "trace": 1,
        "bus": settings.name,
        "baudrate": settings.baudrate,
        "fault_after_s": settings.fault_after_s,
        "sensors": [
            {
                "name": sensor.name,
                "device_id": sensor.device_id,
                "profile": sensor.profile.name,
                "channels": list(sensor.used_channels),
                "thresholds": dict(sensor.thresholds),
                "reapply": dict(sensor.reapply),
            }
            for sensor in sensors
        ],
    }


def describe(frame: bytes) -> str:
    """One request in words, for people reading a trace."""
    request = parse_request(frame)
    if request is None:
        return "not a request that this bus sends"
    values = ", ".join(map(str, request.values))
    what = f"= {values}" if request.is_write else f"x{request.count}"
    return f"unit {request.device_id} FC{request.function:02d} {request.address} {what}"


def parse_request(frame: bytes) -> Request | None:
    """The request that a frame is; None where it is none of ours."""
    if not crc_fits(frame):
        return None
    device_id, function = frame[0], frame[1]
    pdu: Any = _REQUESTS.decode(frame[1:-2])
    try:
        if function in (5, 15):
            values = tuple(int(bit) for bit in pdu.bits[: 1 if function == 5 else pdu.count])
            request = Request(device_id=device_id, function=function, address=pdu.address, values=values)
        elif function in (6, 16):
            values = tuple(pdu.registers)
            request = Request(device_id=device_id, function=function, address=pdu.address, values=values)
        else:
            request = Request(device_id=device_id, function=function, address=pdu.address, count=pdu.count)
    except (BridgeError, AttributeError):
        return None
    # What means the same but is written otherwise (a coil's 0x1234, a wrong count) is none of ours.
    return request if request.encode() == frame else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A trace file read back."""

    header: Event
    events: tuple[Event, ...]


def read_trace(path: Path) -> Trace:
    """Read a trace file. Raises BridgeError naming the line that is wrong."""
    events: list[Event] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise BridgeError(f"{path}: cannot be read ({exc})") from exc
    for number, line in enumerate(lines, start=1):
        try:
            event = json.loads(line)
            if number == 1 and event.get("trace") != 1:
                raise ValueError('the first line must be a header with "trace": 1')
            if number > 1:
                _check_event(event, events[-1]["t"] if number > 2 else 0.0)
        except (ValueError, AttributeError) as exc:
            raise BridgeError(f"{path}: line {number}: {exc}: cut the file before it") from exc
        events.append(event)
    if not events:
        raise BridgeError(f"{path}: is empty: record with `edged bus trace`")
    return Trace(header=events[0], events=tuple(events[1:]))


def replay(trace: Trace, settings: BusSettings, sensors: Iterable[SensorSettings]) -> Iterator[Observation]:
    """What the recorded bytes mean to this code: the same judging and reading as on the pole.

    Observations carry the trace's times. Nothing recorded as judged is believed; only bytes and times are.
    """
    master = BusMaster(settings, sensors)
    master.start(0.0)
    current: Transaction | None = None
    looked_s = 0.0
    for event in trace.events:
        now_s = float(event["t"])
        if "sent" in event:
            request = parse_request(bytes.fromhex(event["sent"]))
            lane = master.lane(request.device_id) if request else None
            current = None
            if request is not None and lane is not None:
                timeout_s = lane.longest_s
                current = Transaction(
                    request,
                    sent_at_s=now_s,
                    timing=master.timing,
                    response_timeout_s=timeout_s,
                    echoes=master.line.echoes,
                )
        elif "heard" in event and current is not None:
            current.receive(bytes.fromhex(event["heard"]), now_s, since_s=looked_s)
        elif "end" in event and current is not None:
            yield from _end(master, current, now_s)
            current = None
        looked_s = now_s
        yield from master.age(now_s)


def _end(master: BusMaster, transaction: Transaction, now_s: float) -> Iterator[Observation]:
    # The bus may have given up before the profile's timeout: then nothing more was heard either.
    outcome = transaction.conclude(now_s) or transaction.conclude(transaction.deadline_s + _LONGEST_GAP_S)
    lane = master.lane(transaction.request.device_id)
    if outcome is not None and lane is not None:
        master.line.note_echo(outcome, now_s)
        yield from master.take(lane, outcome, now_s)


def _check_event(event: Event, previous_s: float) -> None:
    if not isinstance(event.get("t"), int | float) or event["t"] < previous_s - 1.0:
        raise ValueError(f'"t" must be a time that does not run backwards, got {event.get("t")!r}')
    if not any(key in event for key in ("sent", "heard", "end")):
        raise ValueError('an event has "sent", "heard" or "end"')
    for key in ("sent", "heard"):
        bytes.fromhex(event.get(key, ""))
