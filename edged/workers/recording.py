"""From instructions to committed visits: the thread that waits for the disk, so that no sensor has to."""

import threading
import time
from collections.abc import Iterable, Mapping

import structlog

from edged.box import metrics
from edged.box.clock import Clock
from edged.domain.berth import Act, Instruction
from edged.settings import BerthSettings
from edged.store import Store, StoreError
from edged.workers.instructions import InstructionQueue
from edged.workers.queues import CaptureJob, CaptureQueue, Reason

log = structlog.get_logger()

_TICK_S = 0.5
_TRY_AGAIN_S = 1.0
# An SD card that collects garbage stalls for a minute; three of them are a dead card.
DISK_DEADLINE_S = 180.0


class RecordingWorker:
    """Commits instructions in order, then announces each. What the store refuses stays first in line."""

    name = "recording"
    deadline_s = DISK_DEADLINE_S

    def __init__(
        self,
        berths: Iterable[BerthSettings],
        store: Store,
        clock: Clock,
        instructions: InstructionQueue,
        captures: Mapping[str, CaptureQueue],
    ) -> None:
        self.last_progress_s = time.monotonic()
        self._berths = {berth.berth_no: berth for berth in berths if berth.in_service}
        self._store = store
        self._clock = clock
        self._instructions = instructions
        self._captures = captures

    def run(self, stop: threading.Event) -> None:
        while not (stop.is_set() and self._instructions.is_closed):
            self.last_progress_s = time.monotonic()
            if not self._commit_next():
                stop.wait(_TRY_AGAIN_S)
        while self._instructions.first(0.0) is not None and self._commit_next():
            pass  # the last try; the berths' worker reports what is left

    def _commit_next(self) -> bool:
        """Commit an instruction, if one comes; return False when the store refuses it."""
        instruction = self._instructions.first(_TICK_S)
        if instruction is None:
            return True
        try:
            self._commit(instruction)
        except StoreError as error:
            self._instructions.refused(error)
            return False
        self._instructions.committed(instruction)
        self._announce(instruction)
        return True

    def _commit(self, instruction: Instruction) -> None:
        if instruction.act is Act.LOOK_AGAIN:
            return
        stamp = self._clock.at(instruction.at_s)
        commit = self._store.drive_in if instruction.act is Act.DRIVE_IN else self._store.drive_out
        commit(instruction.berth_no, instruction.visit_id, stamp, instruction.cause.value)

    def _announce(self, instruction: Instruction) -> None:
        """Tell log, metrics and camera what is committed now."""
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
        berth = self._berths.get(instruction.berth_no)
        if berth is None:
            return  # a visit of a berth that was taken away is closed without a picture
        job = CaptureJob(berth=berth, visit_id=instruction.visit_id, reason=reason, asked_s=time.monotonic())
        self._captures[berth.camera].put(job)
