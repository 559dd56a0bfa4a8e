"""One unit's place in the schedule: how it is doing, and which of its blocks may be asked when. Pure.

Several sensors of the settings may be inputs of one unit: they share its id, its times and its failures.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from firmware_bridge.blocks import Block, Purpose
from firmware_bridge.frames import EXCEPTION_BYTES, Request, Shape
from firmware_bridge.punctuality import NEVER, Punctuality
from firmware_bridge.settings import SensorSettings
from firmware_bridge.transaction import Cause

# A lost request on a noisy line is no dead sensor: so many in a row before its first real pause.
_SILENCES_BEFORE_QUARANTINE = 6
# A reply that only its CRC spoils is a bad line rather than a dead sensor, and costs no timeout; but a line
# that spoils every fourth one has so many in a row less than once in years.
_FAILURES_BEFORE_QUARANTINE = 20
_FIRST_PERIOD_S = 0.5
_LONGEST_PERIOD_S = 10.0
_BUSY_PAUSE_S = 0.2  # after exceptions 5 (acknowledge) and 6 (busy)
_DEGRADED_PAUSE_S = 1.0  # after exception 4 (device failure)
_UNAVAILABLE_PAUSE_S = 10.0  # after exceptions 1 to 3: no such register
_REJOINED_AFTER_S = 600.0  # a device that was starting up may have refused what it allows later
# A sensor that always answers in 5 ms need not be waited for 100 ms when a request was lost: its own slowest
# recent answer, with room to spare, is patience enough. After some failures the profile's timeout counts.
_PATIENCE_FACTOR = 3.0
_LEAST_PATIENCE_S = 0.02  # an FTDI adapter holds characters back for up to 16 ms
_SLOWEST_FADES = 0.995
_IMPATIENT_SILENCES = 2


@dataclass(slots=True, kw_only=True, eq=False)
class Lane:
    """What is known of one unit. `fast` blocks show occupancy, `slow` ones everything else."""

    sensors: tuple[SensorSettings, ...]
    fast: list[Block]
    slow: list[Block]
    interval_s: float  # the least time between two readings
    latency_s: float = 0.0  # what the link adds
    longest_s: float = field(init=False)  # response timeout
    late_s: float = field(init=False)  # how late beyond that a reply may come
    rest_s: float = field(init=False)  # what the device needs from one transaction to the next
    writes: list[Request] = field(default_factory=list)
    failures: int = 0  # in a row, of any kind
    silences: int = 0  # in a row, without a sign of life
    quarantined: bool = False
    degraded: bool = False
    held_until_s: float = NEVER
    barred_s: dict[Shape, float] = field(default_factory=dict)
    punctuality: Punctuality = field(init=False)
    _answered_s: dict[Block, float] = field(default_factory=dict)
    _tried_s: dict[Block, float] = field(default_factory=dict)
    _paused_s: dict[Block, float] = field(default_factory=dict)
    _misses: dict[Block, int] = field(default_factory=dict)
    _split: dict[Block, tuple[Block, ...]] = field(default_factory=dict)
    _rejoin_s: float = NEVER
    _known: set[Block] = field(default_factory=set)  # answered since they were last refused
    _refused: set[Request] = field(default_factory=set)
    _failed_shape: Shape | None = None
    _period_s: float = 0.0
    _slowest_s: float | None = None

    @property
    def blocks(self) -> list[Block]:
        return self.fast + self.slow

    @property
    def device_id(self) -> int:
        return self.sensors[0].device_id

    def __post_init__(self) -> None:
        self.longest_s = max(sensor.response_timeout_s for sensor in self.sensors) + self.latency_s
        self.late_s = max(sensor.max_reply_delay_s for sensor in self.sensors) + self.latency_s
        self.punctuality = Punctuality(self.longest_s + self.late_s)
        self.rest_s = max(sensor.link.min_gap_ms for sensor in self.sensors) / 1000

    @property
    def patience_s(self) -> float:
        """How long to wait for the next reply's turnaround."""
        if self._slowest_s is None or self.silences > _IMPATIENT_SILENCES:
            return self.longest_s
        return min(self.longest_s, max(_LEAST_PATIENCE_S, _PATIENCE_FACTOR * self._slowest_s))

    def note_turnaround(self, turnaround_s: float) -> None:
        self._slowest_s = max(turnaround_s, (self._slowest_s or 0.0) * _SLOWEST_FADES)

    def answered_s(self, block: Block) -> float:
        """When the block was last answered."""
        return self._answered_s.get(block, NEVER)

    def hurry(self, request: Request) -> None:
        """Ask for the occupancy again at once, in another shape than `request`'s if there is one."""
        self._failed_shape = request.shape
        for block in self.fast:
            self._answered_s.pop(block, None)

    def due_s(self, block: Block, every_s: float) -> float:
        return max(self._answered_s.get(block, NEVER) + every_s, self._paused_s.get(block, NEVER))

    def retried_block(self) -> Block:
        """The occupancy block to try next while the sensor fails: in turn, those known to be mute last."""
        return min(
            self.fast, key=lambda block: (self._paused_s.get(block, NEVER), self._tried_s.get(block, NEVER))
        )

    def free_request(self, block: Block, now_s: float) -> Request | None:
        """The block in a shape that no late reply can answer; one that did not just fail, if there is."""
        if not self.barred_s and not self._failed_shape:
            return block.requests[0]
        free = [
            request for request in self._usable(block) if self.barred_s.get(request.shape, NEVER) <= now_s
        ]
        fresh = (request for request in free if request.shape != self._failed_shape)
        return next(fresh, free[0] if free else None)

    def awaits_another(self, request: Request, asked_s: float) -> bool:
        """Whether an earlier request of the same function could still be answered when this one was asked."""
        return any(
            shape[1] == request.function and until_s > asked_s for shape, until_s in self.barred_s.items()
        )

    def awaits_any(self, since_s: float) -> bool:
        """Whether any earlier request could still be answered after `since_s`."""
        return any(until_s > since_s for until_s in self.barred_s.values())

    def free_s(self, block: Block) -> float:
        """When the block has a free shape."""
        if not self.barred_s:
            return NEVER
        return min(self.barred_s.get(request.shape, NEVER) for request in self._usable(block))

    def next_s(self) -> float:
        """When there will be something to ask."""
        if self.failures:
            block = self.retried_block()
            is_probe = self.quarantined
            free_s = self.barred_s.get(block.probe.shape, NEVER) if is_probe else self.free_s(block)
            return max(self.held_until_s, free_s)
        due = [max(self.due_s(block, self.interval_s), self.free_s(block)) for block in self.fast]
        due += [max(self.due_s(block, block.every_s), self.free_s(block)) for block in self.slow]
        return max(self.held_until_s, min(due))

    def _usable(self, block: Block) -> Iterator[Request]:
        return (request for request in block.requests if request not in self._refused)

    def awaits(self, shape: Shape, since_s: float) -> bool:
        """Whether a frame of that shape, come after `since_s`, answers a request that was given up before."""
        _, function, size = shape
        if size == EXCEPTION_BYTES and function & 0x80:
            bars = [until_s for barred, until_s in self.barred_s.items() if barred[1] == function & 0x7F]
            return any(until_s > since_s for until_s in bars)
        return self.barred_s.get(shape, NEVER) > since_s

    def asks(self, shape: Shape) -> bool:
        """Whether a frame of that shape can answer anything that this unit is asked."""
        _, function, size = shape
        requests = (request for block in self.blocks for request in (*block.requests, block.probe))
        if size == EXCEPTION_BYTES and function & 0x80:
            return any(request.function == function & 0x7F for request in requests)
        return any(request.shape == shape for request in requests)

    def note_written(self, write: Request) -> None:
        """A write was answered: it is done, and what it set is read back next."""
        if write in self.writes:
            self.writes.remove(write)
        for block in self.slow:
            if block.purpose is Purpose.SETTING:
                self._answered_s.pop(block, None)

    def note_heard(self, block: Block | None) -> None:
        """A sign of life that is worth something: value or exception."""
        if self.quarantined:  # it was away: nothing is known of its blocks any more
            self._misses.clear()
            self._paused_s.clear()
        self.failures = self.silences = 0
        self.quarantined, self._period_s, self._failed_shape = False, 0.0, None
        if block is not None:
            self._misses.pop(block, None)

    def note_answered(self, block: Block, now_s: float) -> None:
        self.degraded = False
        self._answered_s[block] = self._tried_s[block] = now_s
        self._known.add(block)
        if self._split and now_s >= self._rejoin_s:
            self._rejoin()

    def note_failed(self, block: Block | None, request: Request, cause: Cause, now_s: float) -> None:
        """No usable reply: after many the sensor is quarantined, or one block of a living sensor rests."""
        self.failures += 1
        self.silences = 0 if cause is Cause.GARBLED else self.silences + 1
        self._failed_shape = request.shape
        if block is not None:
            self._tried_s[block] = now_s
            misses = self._misses[block] = self._misses.get(block, 0) + 1
            pause_s = _FIRST_PERIOD_S * 2 ** min(misses - _SILENCES_BEFORE_QUARANTINE, 10)
            if misses >= _SILENCES_BEFORE_QUARANTINE and len(self.blocks) > 1:
                self._paused_s[block] = now_s + min(pause_s, _LONGEST_PERIOD_S)
        if self.silences >= _SILENCES_BEFORE_QUARANTINE or self.failures >= _FAILURES_BEFORE_QUARANTINE:
            self.quarantined = True
            self._period_s = min(max(_FIRST_PERIOD_S, 2 * self._period_s), _LONGEST_PERIOD_S)
            self.held_until_s = max(self.held_until_s, now_s + self._period_s)

    def note_exception(self, block: Block, request: Request, code: int, now_s: float) -> None:
        """Busy (5, 6) waits a little, failure (4) longer; what is refused (1 to 3) is asked otherwise."""
        self._answered_s[block] = self._tried_s[block] = now_s
        if code in (5, 6):
            self._paused_s[block] = now_s + _BUSY_PAUSE_S
        elif code not in (1, 2, 3):
            self.degraded = True
            self._paused_s[block] = now_s + _DEGRADED_PAUSE_S
        elif self._refuses_once(block):
            # A request that was garbled on its way may be a right one for registers that are not there.
            self._answered_s.pop(block, None)
        elif request not in (block.requests[0], block.probe):
            self._refused.add(request)
        elif block.addresses > 1 and request == block.requests[0]:
            self._divide(block, now_s)
        elif block.addresses == 1:
            self._paused_s[block] = now_s + _UNAVAILABLE_PAUSE_S

    def _refuses_once(self, block: Block) -> bool:
        """Whether a block that was answered before is refused for the first time since."""
        is_new = block in self._known
        self._known.discard(block)
        return is_new

    def _divide(self, block: Block, now_s: float) -> None:
        if not self._split:
            self._rejoin_s = now_s + _REJOINED_AFTER_S
        blocks = self.fast if block in self.fast else self.slow
        if block not in blocks:
            return  # divided while it was on its way
        self._split[block] = block.split()
        at = blocks.index(block)
        blocks[at : at + 1] = self._split[block]

    def _rejoin(self) -> None:
        """Ask together again what was divided, and forget the parts: each division makes new ones."""
        parts = {part for block_parts in self._split.values() for part in block_parts}
        whole = [block for block in [*self.blocks, *self._split] if block not in parts]
        self.fast = [block for block in whole if block.purpose is Purpose.OCCUPANCY]
        self.slow = [block for block in whole if block.purpose is not Purpose.OCCUPANCY]
        for part in parts:
            for times in (self._answered_s, self._tried_s, self._paused_s):
                times.pop(part, None)
            self._misses.pop(part, None)
            self._known.discard(part)
        self._split = {}
