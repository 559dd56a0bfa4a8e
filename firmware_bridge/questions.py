"""A technician's questions to a running bus: the sensors come first (docs/decisions/0019)."""

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

from firmware_bridge.errors import BridgeError, PortError
from firmware_bridge.frames import Request
from firmware_bridge.transaction import Outcome

_MOST_WAITING = 8
_OLDEST_SHARE = 0.45  # of a fault limit; the rest of the half is for the turn that is on its way
_LONGEST_SHARE = 0.2  # of the shortest fault limit: the time of one question
_SENSORS_TURN = 2.0  # times a question's time


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request, how long to wait for its reply, and where its outcome goes."""

    request: Request
    timeout_s: float
    answer: Future[Outcome]


class Questions:
    """Asked from any thread; everything else is the bus thread's. Without sensors nothing has to wait."""

    def __init__(self, bus: str, *, shortest_fault_after_s: float | None) -> None:
        self._bus = bus
        self._shortest_s = shortest_fault_after_s
        self._waiting: deque[Question] = deque()
        self._free_s = 0.0

    def ask(self, request: Request, timeout_s: float, patience_s: float) -> Outcome:
        """Wait for the question's turn and its end. Raises PortError; BridgeError where it takes too long."""
        if len(self._waiting) >= _MOST_WAITING:
            raise BridgeError(f"bus {self._bus} has {_MOST_WAITING} questions waiting: try again later")
        if self._shortest_s is not None:
            timeout_s = min(timeout_s, _LONGEST_SHARE * self._shortest_s)
        answer: Future[Outcome] = Future()
        self._waiting.append(Question(request=request, timeout_s=timeout_s, answer=answer))
        try:
            return answer.result(patience_s)
        except TimeoutError as exc:
            answer.cancel()
            raise BridgeError(f"bus {self._bus} did not come to the question: is it running?") from exc

    def are_due(self, now_s: float) -> bool:
        """Whether there is a question, and the sensors have had their time since the last one."""
        return bool(self._waiting) and now_s >= self._free_s

    def may_ask(self, oldest_share: float) -> bool:
        """Whether a question leaves every reading young enough.

        `oldest_share`: how near the oldest reading is to its fault limit (1.0 is there).
        """
        return self._shortest_s is None or oldest_share + _LONGEST_SHARE < _OLDEST_SHARE

    def next(self) -> Question | None:
        """The next question; None where its technician has gone."""
        question = self._waiting.popleft()
        return question if question.answer.set_running_or_notify_cancel() else None

    def note_answered(self, begun_s: float, now_s: float) -> None:
        if self._shortest_s is not None:
            self._free_s = now_s + _SENSORS_TURN * (now_s - begun_s)

    def refuse(self, error: PortError) -> None:
        """There is no port: end all questions with that."""
        while self._waiting:
            question = self.next()
            if question is not None:
                question.answer.set_exception(error)
