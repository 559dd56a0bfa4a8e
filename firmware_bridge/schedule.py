"""Which question the bus asks next. Pure: outcomes and times go in, turns come out.

Occupancy blocks are asked in turn, the one that waited longest first. A sensor that failed is asked again as
soon as nothing can be mistaken any more, but never twice in a row while another one is due, and after
several failures it is quarantined: one cheap probe a period, the period growing to ten seconds. Settings,
counters and diagnostics come at most once a round, or when nothing else is due.

After an unanswered request its shape (unit, function, length of the reply) is barred until a reply that is
late by the profile's `max_reply_delay_ms` cannot arrive any more. Another shape of the block may be asked at
once: the late reply does not fit it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from firmware_bridge.blocks import Block, Purpose, plan_blocks
from firmware_bridge.frames import Request
from firmware_bridge.link import LinkTiming
from firmware_bridge.settings import SensorSettings
from firmware_bridge.transaction import Cause, Outcome

# A lost request on a noisy line is no dead sensor: so many in a row before its first real pause.
_SILENCES_BEFORE_QUARANTINE = 6
_FIRST_PERIOD_S = 0.5
_LONGEST_PERIOD_S = 10.0
_BUSY_PAUSE_S = 0.2  # after exceptions 5 (acknowledge) and 6 (busy)
_DEGRADED_PAUSE_S = 1.0  # after exception 4 (device failure)
_UNAVAILABLE_PAUSE_S = 10.0  # after exceptions 1 to 3: no such register
# A sensor that always answers in 5 ms need not be waited for 100 ms when a request was lost: its own slowest
# recent answer, with room to spare, is patience enough. After some failures the profile's timeout counts.
_PATIENCE_FACTOR = 3.0
_LEAST_PATIENCE_S = 0.02  # an FTDI adapter holds characters back for up to 16 ms
_SLOWEST_FADES = 0.995
_IMPATIENT_SILENCES = 2
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One request to be sent now."""

    lane: "Lane"
    block: Block | None
    request: Request
    response_timeout_s: float
    is_probe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Nothing to ask before `until_s`."""

    until_s: float


@dataclass(slots=True, kw_only=True, eq=False)
class Lane:
    """One sensor's place in the schedule."""

    sensor: SensorSettings
    blocks: list[Block]
    failures: int = 0  # in a row, of any kind
    silences: int = 0  # in a row, without a sign of life
    quarantined: bool = False
    degraded: bool = False
    held_until_s: float = _NEVER
    period_s: float = 0.0
    slowest_s: float | None = None
    asked_s: dict[Block, float] = field(default_factory=dict)
    paused_s: dict[Block, float] = field(default_factory=dict)
    refused_shapes: set[tuple[int, int, int]] = field(default_factory=set)
    barred_s: dict[tuple[int, int, int], float] = field(default_factory=dict)
    failed_shape: tuple[int, int, int] | None = None
    writes: list[Request] = field(default_factory=list)

    @property
    def longest_s(self) -> float:
        """The profile's response timeout."""
        return self.sensor.profile.link.response_timeout_ms / 1000

    @property
    def patience_s(self) -> float:
        """How long to wait for the next reply's turnaround."""
        if self.slowest_s is None or self.silences > _IMPATIENT_SILENCES:
            return self.longest_s
        return min(self.longest_s, max(_LEAST_PATIENCE_S, _PATIENCE_FACTOR * self.slowest_s))

    def note_turnaround(self, turnaround_s: float) -> None:
        self.slowest_s = max(turnaround_s, (self.slowest_s or 0.0) * _SLOWEST_FADES)

    def due_s(self, block: Block, poll_interval_s: float) -> float:
        every_s = poll_interval_s if block.purpose is Purpose.OCCUPANCY else block.every_s
        return max(self.asked_s.get(block, _NEVER) + every_s, self.paused_s.get(block, _NEVER))

    def free_request(self, block: Block, now_s: float) -> Request | None:
        """The block in a shape that no late reply can answer; one that did not just fail, if there is."""
        barred_s, refused = self.barred_s, self.refused_shapes
        free = [
            r for r in block.requests if r.shape not in refused and barred_s.get(r.shape, _NEVER) <= now_s
        ]
        fresh = (r for r in free if r.shape != self.failed_shape)
        return next(fresh, free[0] if free else None)

    def free_s(self, block: Block) -> float:
        """When the block has a free shape."""
        if not self.barred_s:
            return _NEVER
        usable = (r.shape for r in block.requests if r.shape not in self.refused_shapes)
        return min(self.barred_s.get(shape, _NEVER) for shape in usable)


class Schedule:
    """The turns of one bus."""

    def __init__(
        self, sensors: Iterable[SensorSettings], *, timing: LinkTiming, poll_interval_s: float
    ) -> None:
        self.lanes = [Lane(sensor=sensor, blocks=list(plan_blocks(sensor, timing))) for sensor in sensors]
        self._timing = timing
        self._poll_interval_s = poll_interval_s
        self._others_first = False
        self._turns_since_background = 0

    def next(self, now_s: float) -> Turn | Rest:
        """The next request, or how long there is none."""
        ready = [lane for lane in self.lanes if lane.held_until_s <= now_s]
        regular = self._oldest([lane for lane in ready if not lane.failures], Purpose.OCCUPANCY, now_s)
        retry = self._retry([lane for lane in ready if lane.failures], now_s)
        if retry is not None and (regular is None or not self._others_first):
            return retry
        if regular is None or self._turns_since_background >= self._round_length():
            background = self._background([lane for lane in ready if not lane.failures], now_s)
            if background is not None:
                self._turns_since_background = 0
                return background
        if regular is not None:
            self._turns_since_background += 1
            return regular
        return Rest(until_s=self._next_s(now_s))

    def settle(self, turn: Turn, outcome: Outcome, now_s: float) -> None:
        """Note how a turn ended."""
        lane, link = turn.lane, turn.lane.sensor.profile.link
        lane.held_until_s = now_s + link.min_gap_ms / 1000
        lane.barred_s = {shape: until_s for shape, until_s in lane.barred_s.items() if until_s > now_s}
        if outcome.outstanding:
            self.bar(lane, turn.request, now_s + lane.longest_s - turn.response_timeout_s)
        if outcome.reply_s is not None:
            lane.note_turnaround(outcome.reply_s - self._timing.wire_s(8 + turn.request.reply_bytes))
        if outcome.heard:
            self._others_first = False
            lane.failures = lane.silences = 0
            lane.quarantined, lane.period_s, lane.failed_shape = False, 0.0, None
            if outcome.cause is Cause.EXCEPTION:
                self._take_exception(turn, outcome.exception_code, now_s)
            elif not turn.is_probe:
                lane.degraded = False
                self._mark_asked(turn, now_s)
            return
        self._others_first = True
        lane.failures += 1
        lane.failed_shape = turn.request.shape
        # A reply that only its CRC spoils is a bad line, not a dead sensor, and costs no timeout.
        lane.silences = 0 if outcome.cause is Cause.GARBLED else lane.silences + 1
        if lane.silences >= _SILENCES_BEFORE_QUARANTINE:
            lane.quarantined = True
            lane.period_s = min(max(_FIRST_PERIOD_S, 2 * lane.period_s), _LONGEST_PERIOD_S)
            lane.held_until_s = max(lane.held_until_s, now_s + lane.period_s)

    def bar(self, lane: Lane, request: Request, deadline_s: float) -> None:
        """A reply to `request` was not there by `deadline_s` but may still come: ask nothing like it."""
        late_s = lane.sensor.profile.link.max_reply_delay_ms / 1000
        lane.barred_s[request.shape] = deadline_s + late_s + self._timing.wire_s(request.reply_bytes)

    def write_soon(self, lane: Lane, request: Request) -> None:
        """Put a write (a setting that was forgotten) before everything else of its sensor."""
        if request not in lane.writes:
            lane.writes.append(request)

    def _mark_asked(self, turn: Turn, now_s: float) -> None:
        if turn.block is not None:
            turn.lane.asked_s[turn.block] = now_s
            return
        if turn.request in turn.lane.writes:
            turn.lane.writes.remove(turn.request)
        for block in turn.lane.blocks:
            if block.purpose is Purpose.SETTING:  # read it back next
                turn.lane.asked_s.pop(block, None)

    def _take_exception(self, turn: Turn, code: int, now_s: float) -> None:
        lane, block = turn.lane, turn.block
        self._mark_asked(turn, now_s)
        if block is None:
            return
        if code in (5, 6):
            lane.paused_s[block] = now_s + _BUSY_PAUSE_S
        elif code not in (1, 2, 3):
            lane.degraded = True
            lane.paused_s[block] = now_s + _DEGRADED_PAUSE_S
        elif not turn.is_probe and turn.request is not block.requests[0]:
            lane.refused_shapes.add(turn.request.shape)
        elif len(block.parts) > 1:
            at = lane.blocks.index(block)
            lane.blocks[at : at + 1] = block.split()
        else:
            lane.paused_s[block] = now_s + _UNAVAILABLE_PAUSE_S

    def _oldest(self, lanes: list[Lane], purpose: Purpose, now_s: float) -> Turn | None:
        interval_s, oldest_s = self._poll_interval_s, now_s
        found: tuple[Lane, Block] | None = None
        for lane in lanes:
            for block in lane.blocks:
                if block.purpose is not purpose:
                    continue
                asked_s = lane.asked_s.get(block, _NEVER)
                if found is not None and asked_s >= oldest_s:
                    continue
                if lane.due_s(block, interval_s) <= now_s and lane.free_s(block) <= now_s:
                    found, oldest_s = (lane, block), asked_s
        return None if found is None else self._ask(*found, now_s)

    def _retry(self, lanes: list[Lane], now_s: float) -> Turn | None:
        waiting = []
        for order, lane in enumerate(lanes):
            fast = [block for block in lane.blocks if block.purpose is Purpose.OCCUPANCY]
            block = min(fast, key=lambda block: lane.asked_s.get(block, _NEVER))
            waiting.append((lane.quarantined, lane.asked_s.get(block, _NEVER), order, lane, block))
        # Whoever has not been heard for longest goes first, probes of the quarantined last.
        for quarantined, _, _, lane, block in sorted(waiting, key=lambda item: item[:3]):
            if not quarantined:
                request = lane.free_request(block, now_s)
                if request is not None:
                    return self._turn(lane, block, request)
            elif lane.barred_s.get(block.probe.shape, _NEVER) <= now_s:
                is_part = block.probe != block.requests[0]
                return self._turn(lane, block, block.probe, is_probe=is_part)
        return None

    def _background(self, lanes: list[Lane], now_s: float) -> Turn | None:
        for lane in lanes:
            for write in lane.writes:
                if lane.barred_s.get(write.shape, _NEVER) <= now_s:
                    return self._turn(lane, None, write)
        for purpose in (Purpose.SETTING, Purpose.COUNTER, Purpose.DIAGNOSTIC):
            turn = self._oldest(lanes, purpose, now_s)
            if turn is not None:
                return turn
        return None

    def _ask(self, lane: Lane, block: Block, now_s: float) -> Turn | None:
        request = lane.free_request(block, now_s)
        return None if request is None else self._turn(lane, block, request)

    def _turn(self, lane: Lane, block: Block | None, request: Request, *, is_probe: bool = False) -> Turn:
        return Turn(
            lane=lane, block=block, request=request, response_timeout_s=lane.patience_s, is_probe=is_probe
        )

    def _round_length(self) -> int:
        living = (lane for lane in self.lanes if not lane.quarantined)
        return sum(block.purpose is Purpose.OCCUPANCY for lane in living for block in lane.blocks)

    def _next_s(self, now_s: float) -> float:
        times = [
            max(
                lane.held_until_s,
                lane.free_s(block),
                0.0 if lane.failures else lane.due_s(block, self._poll_interval_s),
            )
            for lane in self.lanes
            for block in lane.blocks
        ]
        return max(min(times, default=now_s + 1.0), now_s + 0.001)
