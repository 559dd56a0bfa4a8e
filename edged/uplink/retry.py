"""When something that failed may be tried again."""

import random
import time
from dataclasses import dataclass

from edged.domain.delivery import backoff_s


@dataclass(slots=True)
class Retry:
    """Counts failures in a row; not before `due_s` (monotonic) is it time to try again."""

    rng: random.Random
    failures: int = 0
    due_s: float = 0.0

    def failed(self, asked_s: float | None = None) -> None:
        self.failures += 1
        self.due_s = time.monotonic() + backoff_s(self.failures, self.rng, asked_s=asked_s)

    def succeeded(self) -> None:
        self.failures = 0
        self.due_s = 0.0

    @property
    def wait_s(self) -> float:
        return max(0.0, self.due_s - time.monotonic())
