"""Which question the bus asks next. Pure: outcomes and times go in, turns come out.

Occupancy blocks are asked in turn, the one that waited longest first. A sensor that failed is asked again as
soon as nothing can be mistaken any more, but never twice in a row while another one is due, and after
several failures it is quarantined (see `lane`): one cheap probe a period, the period growing to ten seconds.
Settings, counters and diagnostics come at most once a round, or when nothing else is due.

After an unanswered request its shape (unit, function, length of the reply) is barred until a reply that is
late by the profile's `max_reply_delay_ms` cannot arrive any more. Another shape of the block may be asked at
once: the late reply does not fit it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from firmware_bridge.blocks import USUAL_TURNAROUND_S, Block, Purpose, plan_blocks
from firmware_bridge.frames import Request
from firmware_bridge.lane import Lane
from firmware_bridge.link import LinkTiming
from firmware_bridge.punctuality import NEVER
from firmware_bridge.settings import SensorSettings
from firmware_bridge.transaction import Cause, Outcome

_BACKGROUND = (Purpose.SETTING, Purpose.COUNTER, Purpose.DIAGNOSTIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One request to be sent now. `block` is None for a write."""

    lane: Lane
    block: Block | None
    request: Request
    response_timeout_s: float
    is_probe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Nothing to ask before `until_s`."""

    until_s: float


class Schedule:
    """The turns of one bus."""

    def __init__(
        self, sensors: Iterable[SensorSettings], *, timing: LinkTiming, poll_interval_s: float
    ) -> None:
        units: dict[int, list[SensorSettings]] = {}
        for sensor in sensors:
            units.setdefault(sensor.device_id, []).append(sensor)
        self.lanes = [_lane(shared, timing, poll_interval_s) for shared in units.values()]
        self._timing = timing
        self._others_first = False
        self._turns_since_background = 0

    def next(self, now_s: float, *, in_flight: Lane | None = None) -> Turn | Rest:
        """The next request, or how long there is none.

        `in_flight`: who is being asked right now. The choice is among the others and holds however that ends.
        """
        living: list[Lane] = []
        failing: list[Lane] = []
        for lane in self.lanes:
            if lane.held_until_s <= now_s and lane is not in_flight:
                (failing if lane.failures else living).append(lane)
        regular = self._regular(living, now_s)
        retry = self._retry(failing, now_s) if failing else None
        # One turn between two retries is enough for the others.
        others_first = self._others_first if in_flight is None else in_flight.failures > 0
        if retry is not None and (regular is None or not others_first):
            return retry
        if regular is None or self._turns_since_background >= self._round_length():
            background = self._background(living, now_s)
            if background is not None:
                self._turns_since_background = 0
                return background
        if regular is not None:
            self._turns_since_background += 1
            return regular
        return Rest(until_s=self._next_s(now_s))

    @property
    def round_s(self) -> float:
        """How long one reading of all sensors takes at best."""
        blocks = [block for lane in self.lanes for block in lane.fast]
        rests_s = max((lane.rest_s * len(lane.fast) for lane in self.lanes), default=0.0)
        wire_s = sum(
            self._timing.transaction_s(
                request_bytes=8, reply_bytes=block.requests[0].reply_bytes, turnaround_s=USUAL_TURNAROUND_S
            )
            for block in blocks
        )
        return max(wire_s, rests_s)

    def settle(self, turn: Turn, outcome: Outcome, now_s: float) -> None:
        """Note how a turn ended."""
        lane, block = turn.lane, turn.block
        # An exception names its function only, and a garbled reply not even that: while an earlier request
        # may still be answered, it may be that one's, and this one's reply is still to come.
        asked_s = now_s - (outcome.reply_s or 0.0) - self._timing.gap_s
        is_doubtful = outcome.cause is Cause.EXCEPTION and lane.awaits_another(turn.request, asked_s)
        is_doubtful |= outcome.cause is Cause.GARBLED and lane.awaits_any(outcome.sent_at_s)
        lane.held_until_s = now_s + lane.rest_s
        if lane.barred_s:
            lane.barred_s = {shape: until_s for shape, until_s in lane.barred_s.items() if until_s > now_s}
        if outcome.outstanding or is_doubtful:
            lane.punctuality.note_lost(turn.request.shape, outcome.sent_at_s)
            self.bar(lane, turn.request, now_s + lane.longest_s - turn.response_timeout_s)
        if outcome.reply_s is not None:
            lane.note_turnaround(
                outcome.reply_s - self._timing.wire_s(turn.request.request_bytes + turn.request.reply_bytes)
            )
        if block is None:
            lane.note_written(turn.request)
        if not outcome.heard or is_doubtful:
            self._others_first = True
            lane.note_failed(block, turn.request, outcome.cause, now_s)
            return
        self._others_first = False
        lane.note_heard(block)
        if block is not None and outcome.cause is Cause.EXCEPTION:
            lane.note_exception(block, turn.request, outcome.exception_code, now_s)
        elif block is not None and not turn.is_probe:
            lane.note_answered(block, now_s)

    def bar(self, lane: Lane, request: Request, deadline_s: float) -> None:
        """A reply to `request` was not there by `deadline_s` but may still come: ask nothing like it."""
        lane.barred_s[request.shape] = deadline_s + lane.late_s + self._timing.wire_s(request.reply_bytes)

    def write_soon(self, lane: Lane, request: Request) -> None:
        """Put a write (a setting that was forgotten) before everything else of its sensor."""
        if request not in lane.writes:
            lane.writes.append(request)

    def _regular(self, lanes: list[Lane], now_s: float) -> Turn | None:
        """The occupancy block that waited longest of those that are due."""
        oldest_s = now_s
        found: tuple[Lane, Block] | None = None
        for lane in lanes:
            for block in lane.fast:
                answered_s = lane.answered_s(block)
                if found is not None and answered_s >= oldest_s:
                    continue
                if lane.due_s(block, lane.interval_s) <= now_s and lane.free_s(block) <= now_s:
                    found, oldest_s = (lane, block), answered_s
        return None if found is None else self._ask(*found, now_s)

    def _retry(self, lanes: list[Lane], now_s: float) -> Turn | None:
        waiting = []
        for order, lane in enumerate(lanes):
            block = lane.retried_block()
            waiting.append((lane.quarantined, lane.answered_s(block), order, lane, block))
        # The one unheard for longest goes first, probes of the quarantined last.
        for quarantined, _, _, lane, block in sorted(waiting, key=lambda item: item[:3]):
            if not quarantined:
                request = lane.free_request(block, now_s)
                if request is not None:
                    return self._turn(lane, block, request)
            elif lane.barred_s.get(block.probe.shape, NEVER) <= now_s:
                is_part = block.probe != block.requests[0]
                return self._turn(lane, block, block.probe, is_probe=is_part)
        return None

    def _background(self, lanes: list[Lane], now_s: float) -> Turn | None:
        for lane in lanes:
            for write in lane.writes:
                if lane.barred_s.get(write.shape, NEVER) <= now_s:
                    return self._turn(lane, None, write)
        for purpose in _BACKGROUND:
            due = [
                (lane.answered_s(block), order, lane, block)
                for order, lane in enumerate(lanes)
                for block in lane.slow
                if block.purpose is purpose
                and lane.due_s(block, block.every_s) <= now_s
                and lane.free_s(block) <= now_s
            ]
            if due:
                _, _, lane, block = min(due, key=lambda item: item[:2])
                return self._ask(lane, block, now_s)
        return None

    def _ask(self, lane: Lane, block: Block, now_s: float) -> Turn | None:
        request = lane.free_request(block, now_s)
        return None if request is None else self._turn(lane, block, request)

    def _turn(self, lane: Lane, block: Block | None, request: Request, *, is_probe: bool = False) -> Turn:
        return Turn(
            lane=lane, block=block, request=request, response_timeout_s=lane.patience_s, is_probe=is_probe
        )

    def _round_length(self) -> int:
        return sum(len(lane.fast) for lane in self.lanes if not lane.quarantined)

    def _next_s(self, now_s: float) -> float:
        times = [lane.next_s() for lane in self.lanes]
        return max(min(times, default=now_s + 1.0), now_s + 0.001)


def _lane(sensors: Sequence[SensorSettings], timing: LinkTiming, poll_interval_s: float) -> Lane:
    blocks = plan_blocks(sensors, timing)
    wishes = (sensor.poll_interval_s for sensor in sensors)
    return Lane(
        sensors=tuple(sensors),
        latency_s=timing.latency_s,
        interval_s=min(poll_interval_s if wish_s is None else wish_s for wish_s in wishes),
        fast=[block for block in blocks if block.purpose is Purpose.OCCUPANCY],
        slow=[block for block in blocks if block.purpose is not Purpose.OCCUPANCY],
    )
