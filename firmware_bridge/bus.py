"""One bus's thread: owns the port, sends what the master decides, hands on what it learns."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from firmware_bridge.channels import PORT_CAUSE, ChannelState, Observation
from firmware_bridge.errors import PortError
from firmware_bridge.frames import Request
from firmware_bridge.lines import Line, open_line
from firmware_bridge.master import BusMaster
from firmware_bridge.questions import Questions
from firmware_bridge.schedule import Rest, Turn
from firmware_bridge.serial_port import sharpen_timers
from firmware_bridge.settings import BusSettings, SensorSettings
from firmware_bridge.statistics import BusSnapshot
from firmware_bridge.transaction import Outcome, Transaction

_LONGEST_WAIT_S = 0.05  # how soon a stop or a question is noticed
_FIRST_RETRY_S = 0.5
_LONGEST_RETRY_S = 10.0
_AGE_EVERY_S = 0.1
_INSPECT_EVERY_S = 1.0
_JUST_NOW_S = 0.0002  # looked at so recently, the line need not be looked at again


class Tap(Protocol):
    """Listens to everything on the line: set `SensorBus.tap`, from any thread.

    Called from the bus's thread.
    """

    def sent(self, frame: bytes, at_s: float) -> None: ...

    def heard(self, data: bytes, at_s: float) -> None: ...

    def ended(self, outcome: Outcome, at_s: float) -> None: ...


class SensorBus:
    """One RS-485 bus and its sensors. `run(stop)` blocks; the constructor starts nothing.

    `on_observation` is called from the bus's thread and should only hand the observation on.
    """

    def __init__(
        self,
        settings: BusSettings,
        sensors: Iterable[SensorSettings],
        on_observation: Callable[[Observation], None],
        *,
        open_port: Callable[[BusSettings], AbstractContextManager[Line]] = open_line,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.tap: Tap | None = None
        self._clock = clock
        self.last_progress_s = self._clock()
        self.sensors = tuple(sensors)
        self._master = BusMaster(settings, self.sensors)
        self._on_observation = on_observation
        self._open_port = open_port
        self._port_error: PortError | None = None
        self._port_losses = 0
        self._questions = Questions(
            settings.name,
            shortest_fault_after_s=self._master.shortest_fault_after_s if self.sensors else None,
        )
        self._unsettled: tuple[Turn, Outcome, float] | None = None
        self._unread: list[tuple[Turn, Outcome, float]] = []
        self._aged_s = 0.0
        self._inspected_s = 0.0
        self._failures = 0
        self._heard_s = 0.0
        self._looked_s = 0.0

    def run(self, stop: threading.Event) -> None:
        """Poll until `stop` is set. Port errors are retried with growing delay; anything else propagates."""
        retry_s = _FIRST_RETRY_S
        sharpen_timers()
        self._master.start(self._clock())
        while not stop.is_set():
            opened_s = self._clock()
            try:
                with self._open_port(self.settings) as line:
                    self._port_error = None
                    self._master.line.echoes = False
                    self._heard_s = self._clock()  # what was on the line a moment ago is unknown
                    self._poll(line, stop)
            except PortError as exc:
                self._port_losses += self._port_error is None
                self._port_error = exc
                if self._clock() - opened_s > _LONGEST_RETRY_S:
                    retry_s = _FIRST_RETRY_S
                self._wait_for_port(exc, retry_s, stop)
                retry_s = min(2 * retry_s, _LONGEST_RETRY_S)

    def channel_states(self) -> dict[tuple[str, int], tuple[ChannelState | None, float | None]]:
        """State and age in seconds of the last good reading, by (sensor, channel). From any thread."""
        return self._master.channel_states(self._clock())

    def snapshot(self) -> BusSnapshot:
        """The whole bus as it is now. From any thread."""
        error, master, now_s = self._port_error, self._master, self._clock()
        return BusSnapshot(
            bus=self.settings.name,
            port=self.settings.port,
            port_error=None if error is None else error.what,
            port_remedy=None if error is None else error.remedy,
            port_losses=self._port_losses,
            cycle_s=master.cycle_s,
            noise_bytes=master.line.noise_bytes,
            strangers=dict(master.line.strangers),
            echoes=master.line.echoes,
            sensors=master.sensor_snapshots(now_s),
            troubles=() if error is not None else master.troubles(now_s),
        )

    def ask(self, request: Request, *, response_timeout_s: float = 0.3, patience_s: float = 10.0) -> Outcome:
        """Put a technician's question between two turns, from any thread, and wait for its end.

        Raises PortError where there is no port, BridgeError where the bus does not come to it in time.
        """
        return self._questions.ask(request, response_timeout_s, patience_s)

    def _poll(self, line: Line, stop: threading.Event) -> None:
        ahead: Turn | None = None
        while not stop.is_set():
            now_s = self._clock()
            self.last_progress_s = now_s
            if self._questions.are_due(now_s) and self._questions.may_ask(self._master.oldest_share(now_s)):
                self._settle()
                self._answer_question(line)
                ahead, now_s = None, self._clock()
            if ahead is None:
                self._settle()
            turn = ahead or self._master.next(now_s)
            if isinstance(turn, Rest):
                self._learn(now_s)
                # what arrives now answers nothing
                until_s = min(turn.until_s, now_s + _LONGEST_WAIT_S)
                self._note_noise(self._read(line, until_s))
                self._inspect(line, now_s)
                continue
            transaction = self._ask(line, turn.request, turn.response_timeout_s)
            # While the request is on the wire the last reply is read and the next question chosen: the line
            # never waits for either.
            self._settle()
            self._learn(self._clock())
            ahead = self._master.ahead(turn, self._clock())
            outcome = self._hear(line, transaction)
            self._unsettled = (turn, outcome, self._looked_s)
            self._inspect(line, now_s)
        self._settle()
        self._learn(self._clock())

    def _inspect(self, line: Line, now_s: float) -> None:
        """Look now and then whether the port is still ours, and still the one that its name means."""
        if now_s - self._inspected_s >= _INSPECT_EVERY_S:
            self._inspected_s = now_s
            failures = self._master.failures
            if intrusion := line.intrusion(is_failing=failures > self._failures):
                self._master.line.note_intrusion(intrusion, now_s)
            self._failures = failures

    def _settle(self) -> None:
        if self._unsettled is not None:
            self._master.settle(*self._unsettled)
            self._unread.append(self._unsettled)
            self._unsettled = None

    def _ask(self, line: Line, request: Request, response_timeout_s: float) -> Transaction:
        self._drain(line)
        frame, sent_at_s = request.encode(), self._clock()
        line.send(frame)
        if self.tap is not None:
            self.tap.sent(frame, sent_at_s)
        return Transaction(
            request,
            sent_at_s=sent_at_s,
            timing=self._master.timing,
            response_timeout_s=response_timeout_s,
            echoes=self._master.line.echoes,
        )

    def _hear(self, line: Line, transaction: Transaction) -> Outcome:
        looked_s = self._looked_s
        while True:
            data = self._read(line, transaction.wake_s, transaction.idle_until_s)
            transaction.receive(data, self._looked_s, since_s=looked_s)
            looked_s = self._looked_s
            outcome = transaction.conclude(looked_s)
            if outcome is not None:
                if self.tap is not None:
                    self.tap.ended(outcome, looked_s)
                return outcome

    def _answer_question(self, line: Line) -> None:
        question = self._questions.next()
        if question is None:
            return
        begun_s = self._clock()
        self._note_noise(self._read(line, self._master.free_s(question.request)))
        timeout_s = question.timeout_s + self._master.timing.latency_s
        transaction = self._ask(line, question.request, timeout_s)
        self._learn(self._clock())
        outcome = self._hear(line, transaction)
        now_s = self._clock()
        self._master.note_question(outcome, now_s)
        self._questions.note_answered(begun_s, now_s)
        question.answer.set_result(outcome)

    def _learn(self, now_s: float, port_error: str | None = None) -> None:
        """Hand on what replies and silence say about the channels."""
        found = []
        for turn, outcome, at_s in self._unread:
            found += self._master.take(turn.lane, outcome, at_s)
        self._unread.clear()
        if now_s - self._aged_s >= _AGE_EVERY_S:
            self._aged_s = now_s
            found += self._master.age(now_s, port_error)
        for observation in found:
            self._on_observation(observation)

    def _drain(self, line: Line) -> None:
        """Before a request the line must have been silent for so long; what still arrives answers nothing."""
        gap_s = self._master.timing.before_request_s
        now_s = self._clock()
        patience_s = now_s + gap_s + self._master.timing.wire_s(256)
        if now_s > self._looked_s + _JUST_NOW_S:
            self._note_noise(self._read(line, 0.0))
        while self._looked_s < min(self._heard_s + gap_s, patience_s):
            until_s = self._heard_s + gap_s
            self._note_noise(self._read(line, until_s, until_s))

    def _note_noise(self, data: bytes) -> None:
        if data:
            self._settle()  # it may be the late reply to the turn that has just ended
            self._master.note_noise(data, self._looked_s)

    def _read(self, line: Line, until_s: float, not_before_s: float = 0.0) -> bytes:
        data = line.read(until_s, not_before_s)
        self._looked_s = self._clock()
        if data:
            self._heard_s = self._looked_s
            if self.tap is not None:
                self.tap.heard(data, self._heard_s)
        return data

    def _wait_for_port(self, error: PortError, retry_s: float, stop: threading.Event) -> None:
        until_s = self._clock() + retry_s
        while not stop.is_set() and (now_s := self._clock()) < until_s:
            self.last_progress_s = now_s
            self._questions.refuse(error)
            self._learn(now_s, f"{PORT_CAUSE}{error.what}")
            stop.wait(min(_LONGEST_WAIT_S, until_s - now_s))
