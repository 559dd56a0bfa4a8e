"""From what the sensors say to drive-in and drive-out instructions, committed before anything else."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from uuid import uuid4

import structlog

from edged.box import metrics
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
from edged.workers.health_book import HealthBook
from edged.workers.instructions import InstructionQueue
from edged.workers.queues import BerthNews, Swap
from firmware_bridge import PORT_CAUSE, ChannelState, Observation

log = structlog.get_logger()

_TICK_S = 0.25
_MOST_HELD = 10_000
_OPENS_WITHIN_S = 3.0  # an ordinary start; only a longer wait is a problem
# Below the supervisor's bound for stopping, so that what is lost is named before the process is ended.
_LAST_TRY_S = 8.0


class BerthWorker:
    """Owns the berths' states: from the news about them to instructions. It never waits for the disk.

    Until the store is open for the first time, which visits are open is unknown: the news wait, and are
    taken then with their own times.
    """

    name = "berths"
    deadline_s = 30.0

    def __init__(
        self,
        berths: Iterable[BerthSettings],
        store: Store,
        health: HealthBook,
        news: BerthNews,
        instructions: InstructionQueue,
    ) -> None:
        self.last_progress_s = time.monotonic()
        self._settings = {berth.berth_no: berth for berth in berths if berth.in_service}
        self._berth_of = {berth.watched_by: berth.berth_no for berth in self._settings.values()}
        self._store = store
        self._health = health
        self._news = news
        self._instructions = instructions
        self._berths: dict[str, Berth] = {}
        self._lost_ports: set[str] = set()
        self._has_recalled = False
        self._held: deque[Observation | Swap] = deque()

    def run(self, stop: threading.Event) -> None:
        try:
            if self._hold_until_open(stop):
                self._work(stop)
            while (late := self._news.get(0.0)) is not None:  # what came while stopping
                self._take(late)
        finally:
            self._instructions.close()
        self._account_for(self._instructions.left_after(_LAST_TRY_S))

    def _hold_until_open(self, stop: threading.Event) -> bool:
        """Keep the news until the store is open; return whether it is."""
        began_s = time.monotonic()
        while not stop.is_set():
            self.last_progress_s = time.monotonic()
            if self._store.is_open and self._recall():
                self._health.clear("arrivals")
                held, self._held = self._held, deque()
                for news in held:
                    self._take(news)
                return True
            fresh = self._news.get(_TICK_S)
            if fresh is not None:
                self._hold(fresh)
            if self._held and time.monotonic() - began_s > _OPENS_WITHIN_S:
                waiting = f"{len(self._held)} sensor news wait in memory: the store is not open yet"
                self._health.report(
                    "arrivals", HealthStatus.FAILED, waiting, "do not switch off; mend the store"
                )
        return False

    def _hold(self, news: Observation | Swap) -> None:
        self._held.append(news)
        while len(self._held) > _MOST_HELD:
            metrics.DROPS.labels("held").inc()
            log.error(
                "sensor news lost: the store was not open for too long", lost=repr(self._held.popleft())
            )

    def _work(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.last_progress_s = time.monotonic()
            news = self._news.get(_TICK_S)
            if news is not None:
                self._take(news)
            self._settle(time.monotonic())

    def _take(self, news: Observation | Swap) -> None:
        if not self._has_recalled:
            self._hold(news)
        elif isinstance(news, Swap):
            self._swap(news)
        else:
            self._observe(news)

    def _account_for(self, left: Sequence[Instruction]) -> None:
        """Name what could not be committed before the end. Raises InstructionsLost."""
        for instruction in left:
            log.error("instruction lost: it could not be stored before the end", lost=instruction)
        # A first look at a channel is no news: the next start takes it again.
        held = [news for news in self._held if isinstance(news, Swap) or news.previous is not None]
        for news in held:
            log.error("sensor news lost: the store was never open", lost=news)
        if left or held:
            raise InstructionsLost(f"{len(left)} instructions and {len(held)} sensor news were lost")

    def _recall(self) -> bool:
        """Continue the open visits; close those whose berth is gone, or that a newer one replaced.

        Return False when they cannot be read now.
        """
        try:
            visits = self._store.open_visits()
        except StoreError:
            return False
        berths: dict[str, Berth] = {}
        for no, berth in self._settings.items():
            fresh = Berth(berth_no=no, settle_in_s=berth.settle_in_s, settle_out_s=berth.settle_out_s)
            berths[no] = recalled(fresh, None)
        for visit in visits:
            berth_now = berths.get(visit.berth_no)
            closed = visit.visit_id if berth_now is None else berth_now.visit_id
            if berth_now is not None:
                berths[visit.berth_no] = recalled(berth_now, visit.visit_id)
            if closed is not None:
                closing = self._closing(visit.berth_no, closed)
                self._instructions.put(berth_now, (closing,))
        self._berths = berths
        self._has_recalled = True
        for current in berths.values():
            self._instructions.put(current, ())
        return True

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
            # No time, no picture, no plate: logged, but no visit is made up (docs/decisions/0014).
            metrics.UNSEEN.labels(berth_no).inc(news.counter_delta)
            log.warning(
                "came and left unseen",
                berth_no=berth_no,
                vehicles=news.counter_delta,
                unobserved_s=round(news.blind_s, 1),
            )
        self._note_sensor(f"berth {berth_no}", news)

    def _note_sensor(self, component: str, news: Observation) -> None:
        """Enter what the sensor's state says of its berth. A lost port gets one log line, not one a berth."""
        is_port_lost = news.state is ChannelState.FAULT and news.cause.startswith(PORT_CAUSE)
        if is_port_lost and news.bus not in self._lost_ports:
            self._lost_ports.add(news.bus)
            log.warning("port lost", bus=news.bus, cause=news.cause)
        elif not is_port_lost and news.bus in self._lost_ports:
            self._lost_ports.discard(news.bus)
            log.info("port back", bus=news.bus)
        if news.state is ChannelState.FAULT:
            remedy = f"look at sensor {news.sensor} with `edged bus watch`: cable, power, its own fault lamp"
            cause = f"sensor fault: {news.cause}"
            degraded = HealthStatus.DEGRADED
            self._health.report(component, degraded, cause, remedy, is_logged=not is_port_lost)
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
        self._instructions.put(berth, instructions)


class InstructionsLost(Exception):
    """What happened at the berths could not be stored before the daemon ended; the log names each."""


def signal_of(observation: Observation, berth: Berth) -> Signal:
    """What an observation of the bus is to its berth."""
    if observation.state is ChannelState.FAULT:
        return Signal.FAULT
    if observation.state is ChannelState.VACANT:
        return Signal.VACANT
    return counted(berth, observation.blind_s) if observation.counter_delta else Signal.OCCUPIED
