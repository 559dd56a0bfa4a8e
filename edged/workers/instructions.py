"""The instructions that wait to be committed, and what the board shows until they are."""

import threading
import time
from collections import deque
from dataclasses import dataclass

import structlog

from edged.box import metrics
from edged.domain.berth import Berth, Instruction
from edged.domain.health import Finding, HealthStatus
from edged.store import StoreError
from edged.workers.board import Board

log = structlog.get_logger()

_MOST_WAITING = 10_000
# A commit takes milliseconds; an SD card that collects garbage stalls for a minute.
_LATE_S = 5.0


@dataclass(slots=True)
class _Waiting:
    instruction: Instruction
    berth: Berth | None  # the newest state of the berth, shown once this is committed; None: show nothing
    since_s: float


class InstructionQueue:
    """From the berths' worker to the one that commits, so that no sensor waits for a disk. Thread-safe.

    In order, bounded, drops counted. A berth goes onto the board when its instructions are committed: what is
    on the board is in the store.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._fault: StoreError | None = None
        self._is_closed = False

    def put(self, berth: Berth | None, instructions: tuple[Instruction, ...]) -> None:
        """Add what `berth` came to; the oldest instruction is dropped when 10,000 wait.

        `berth` None: it was taken away, and is not on the board.
        """
        with self._changed:
            now_s = time.monotonic()
            self._waiting.extend(_Waiting(each, berth, now_s) for each in instructions)
            while len(self._waiting) > _MOST_WAITING:
                metrics.DROPS.labels("uncommitted").inc()
                lost = self._waiting.popleft().instruction
                log.error("instruction lost: the store has been unusable for too long", lost=lost)
            if berth is not None:
                self._show(berth)
            self._changed.notify_all()

    def first(self, timeout_s: float) -> Instruction | None:
        """Return the instruction to be committed next, which stays in line; None when none came in time."""
        with self._changed:
            if not self._waiting:
                self._changed.wait(timeout_s)
            return self._waiting[0].instruction if self._waiting else None

    def committed(self, instruction: Instruction) -> None:
        """Take the instruction out of the line and show its berth."""
        with self._changed:
            self._fault = None
            if self._waiting and self._waiting[0].instruction is instruction:  # not dropped meanwhile
                berth = self._waiting.popleft().berth
                if berth is not None:
                    self._show(berth)
            self._changed.notify_all()

    def refused(self, fault: StoreError) -> None:
        """Say why the first instruction could not be committed."""
        with self._changed:
            self._fault = fault
            self._changed.notify_all()

    def close(self) -> None:
        """Say that no instruction comes any more."""
        with self._changed:
            self._is_closed = True
            self._fault = None  # what is refused from now on is refused for good
            self._changed.notify_all()

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def left_after(self, within_s: float) -> list[Instruction]:
        """Wait until all are committed or the store refuses; return those that are left."""
        end_s = time.monotonic() + within_s
        with self._changed:
            while self._waiting and self._fault is None and (left_s := end_s - time.monotonic()) > 0:
                self._changed.wait(left_s)
            return [each.instruction for each in self._waiting]

    def _show(self, berth: Berth) -> None:
        """Put the berth onto the board, now or with the last of its instructions."""
        for waiting in reversed(self._waiting):
            if waiting.instruction.berth_no == berth.berth_no:
                waiting.berth = berth
                return
        self._board.put(berth)

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What keeps instructions from being committed."""
        with self._changed:
            fault, count = self._fault, len(self._waiting)
            late_s = time.monotonic() - self._waiting[0].since_s if count else 0.0
        if not count or (fault is None and late_s < _LATE_S):
            return ()
        why = str(fault) if fault is not None else "the disk does not answer"
        return (
            Finding(
                where="arrivals",
                status=HealthStatus.FAILED,
                cause=f"{count} arrivals and departures wait in memory, the first for {late_s:.0f} s: {why}",
                remedy="do not switch off",
            ),
        )
