"""From what the sensors say to drive-in and drive-out instructions, committed before anything else."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from uuid import uuid4

import structlog

from edged import metrics
from edged.clock import Clock
from edged.domain.berth import (
    Act,
    Berth,
    DriveCause,
    IllegalSignal,
    Instruction,
    Signal,
    counted,
    recalled,
    step,
)
from edged.domain.health import HealthStatus
from edged.settings import BerthSettings
from edged.store import Store, StoreError
from edged.workers.board import Board
from edged.workers.health_book import HealthBook
from edged.workers.queues import BerthNews, CaptureJob, CaptureQueue, Reason, Swap
from firmware_bridge import ChannelState, Observation

log = structlog.get_logger()

_TICK_S = 0.25
_MOST_UNCOMMITTED = 10_000


class BerthWorker:
    """Owns the berths' states: from the news about them to committed instructions and capture jobs."""

    name = "berths"
    deadline_s = 30.0

    def __init__(
        self,
        berths: Iterable[BerthSettings],
        store: Store,
        clock: Clock,
        board: Board,
        health: HealthBook,
        news: BerthNews,
        captures: Mapping[str, CaptureQueue],
    ) -> None:
        self.last_progress_s = time.monotonic()
        self._settings = {berth.berth_no: berth for berth in berths if berth.in_service}
        self._berth_of = {berth.watched_by: berth.berth_no for berth in self._settings.values()}
        self._store = store
        self._clock = clock
        self._board = board
        self._health = health
        self._news = news
        self._captures = captures
        self._uncommitted: deque[Instruction] = deque()
        self._berths: dict[str, Berth] = {}

    def run(self, stop: threading.Event) -> None:
        self._recall()
        while not stop.is_set():
            self.last_progress_s = time.monotonic()
            news = self._news.get(_TICK_S)
            if isinstance(news, Swap):
                self._swap(news)
            elif news is not None:
                self._observe(news)
            self._settle(time.monotonic())
            self._commit()

    def _recall(self) -> None:
        """Continue the open visits; close those whose berth is gone, or that a newer one replaced."""
        for no, berth in self._settings.items():
            fresh = Berth(berth_no=no, settle_in_s=berth.settle_in_s, settle_out_s=berth.settle_out_s)
            self._berths[no] = recalled(fresh, None)
        for visit in self._store.open_visits():
            berth_now = self._berths.get(visit.berth_no)
            closed = visit.visit_id if berth_now is None else berth_now.visit_id
            if berth_now is not None:
                self._berths[visit.berth_no] = recalled(berth_now, visit.visit_id)
            if closed is not None:
                self._uncommitted.append(self._closing(visit.berth_no, closed))
        for current in self._berths.values():
            self._board.put(current)

    def _closing(self, berth_no: str, visit_id: str) -> Instruction:
        return Instruction(
            act=Act.DRIVE_OUT,
            berth_no=berth_no,
            visit_id=visit_id,
            at_s=time.monotonic(),
            cause=DriveCause.RESTART,
        )

    def _swap(self, swap: Swap) -> None:
        """Believe a picture that another vehicle stands there, unless the visit that it knew has ended."""
        if self._berths[swap.berth_no].visit_id == swap.visit_id:
            self._step(swap.berth_no, Signal.SWAPPED, swap.at_s)

    def _observe(self, news: Observation) -> None:
        berth_no = self._berth_of.get((news.sensor, news.channel))
        if berth_no is None:
            return  # a channel that watches no berth in service
        self._step(berth_no, signal_of(news, self._berths[berth_no]), news.at_monotonic_s)
        if news.state is ChannelState.VACANT and news.counter_delta:
            # No time, no picture, no plate: told, but no visit is made up (docs/decisions/0014).
            metrics.UNSEEN.labels(berth_no).inc(news.counter_delta)
            log.warning(
                "came and left unseen",
                berth_no=berth_no,
                vehicles=news.counter_delta,
                unobserved_s=round(news.blind_s, 1),
            )
        component = f"berth {berth_no}"
        if news.state is ChannelState.FAULT:
            remedy = f"look at sensor {news.sensor} with `edged bus watch`: cable, power, its own fault lamp"
            self._health.report(component, HealthStatus.DEGRADED, f"sensor fault: {news.cause}", remedy)
        else:
            self._health.clear(component)

    def _settle(self, now_s: float) -> None:
        for berth_no, berth in self._berths.items():
            due_s = berth.settles_at_s
            if due_s is not None and due_s <= now_s:
                self._step(berth_no, Signal.SETTLED, due_s)

    def _step(self, berth_no: str, signal: Signal, at_s: float) -> None:
        try:
            berth, instructions = step(self._berths[berth_no], signal, at_s, lambda: uuid4().hex)
        except IllegalSignal as error:
            log.warning("signal refused", reason=str(error))  # a swap seen while the car was leaving
            return
        self._berths[berth_no] = berth
        self._uncommitted.extend(instructions)
        while len(self._uncommitted) > _MOST_UNCOMMITTED:
            metrics.DROPS.labels("uncommitted").inc()
            log.error(
                "instruction lost: the store has been unusable for too long", lost=self._uncommitted.popleft()
            )
        if not instructions:  # what is committed later goes onto the board later
            self._board.put(berth)

    def _commit(self) -> None:
        """Commit in order; what the store refuses now stays first in line."""
        while self._uncommitted:
            instruction = self._uncommitted[0]
            try:
                self._commit_one(instruction)
            except StoreError as error:
                self._health.report(
                    "arrivals",
                    HealthStatus.FAILED,
                    f"not stored: {error}",
                    "they wait in memory; do not switch off",
                )
                return
            self._uncommitted.popleft()
            self._announce(instruction)
        self._health.clear("arrivals")

    def _commit_one(self, instruction: Instruction) -> None:
        if instruction.act is Act.LOOK_AGAIN:
            return
        stamp = self._clock.at(instruction.at_s)
        commit = self._store.drive_in if instruction.act is Act.DRIVE_IN else self._store.drive_out
        commit(instruction.berth_no, instruction.visit_id, stamp, instruction.cause.value)

    def _announce(self, instruction: Instruction) -> None:
        """Tell board, log and camera what is committed now."""
        berth = self._berths.get(instruction.berth_no)
        if berth is None:
            return
        self._board.put(berth)
        delay_s = time.monotonic() - instruction.at_s
        log.info(
            instruction.act.value,
            berth_no=instruction.berth_no,
            visit_id=instruction.visit_id,
            cause=instruction.cause.value,
            contact_to_commit_s=round(delay_s, 3),
        )
        if instruction.act is Act.DRIVE_OUT:
            metrics.DEPARTURES.labels(instruction.cause.value).inc()
        elif instruction.act is Act.DRIVE_IN:
            metrics.ARRIVALS.labels(instruction.cause.value).inc()
            metrics.CONTACT_TO_DRIVE_IN.observe(delay_s)
            self._want_capture(instruction, Reason.ARRIVAL)
        else:
            self._want_capture(instruction, Reason.LOOK_AGAIN)

    def _want_capture(self, instruction: Instruction, reason: Reason) -> None:
        berth = self._settings[instruction.berth_no]
        job = CaptureJob(berth=berth, visit_id=instruction.visit_id, reason=reason, asked_s=time.monotonic())
        self._captures[berth.camera].put(job)


def signal_of(observation: Observation, berth: Berth) -> Signal:
    """What an observation of the bus is to its berth."""
    if observation.state is ChannelState.FAULT:
        return Signal.FAULT
    if observation.state is ChannelState.VACANT:
        return Signal.VACANT
    return counted(berth, observation.blind_s) if observation.counter_delta else Signal.OCCUPIED
