"""What is looked at once a minute shows in health, and is gone when it is over."""

from datetime import datetime
from pathlib import Path

from edged.box.clock import Clock
from edged.domain.timekeeping import Stamp
from edged.settings import StoreSettings
from edged.store import Store, requeue_rejected
from edged.wire import EventVerdict, Verdict
from edged.workers.health_book import HealthBook
from edged.workers.upkeep import UpkeepWorker
from tests.waiting import running, until


class SilentCloud:
    """A cloud that was not heard of yet."""

    def cloud_utc(self, monotonic_s: float) -> datetime | None:
        return None


def refuse_all(store: Store, now: Stamp) -> None:
    store.apply_verdicts(
        [
            EventVerdict(event_id=event.event_id, verdict=Verdict.REJECTED, reason="no such berth")
            for event in store.pending(10, now)
        ]
    )


def test_events_that_the_cloud_refused_are_in_health_until_they_are_sent_again(tmp_path: Path) -> None:
    clock, health = Clock(), HealthBook()
    with Store.open(StoreSettings(directory=tmp_path)) as store:
        for visit_id in ("visit-0001", "visit-0002"):
            store.drive_in("1001", visit_id, clock.now(), "sensor")
        refuse_all(store, clock.now())
        with running(UpkeepWorker(tmp_path, store, clock, SilentCloud(), health)):
            until(lambda: "outbox" in {problem.where for problem in health.problems()})
        [problem] = [problem for problem in health.problems() if problem.where == "outbox"]
        assert "refused 2 events" in problem.cause
        assert "no such berth" in problem.cause
        requeue_rejected(tmp_path, None)
        with running(UpkeepWorker(tmp_path, store, clock, SilentCloud(), health)):
            until(lambda: "outbox" not in {problem.where for problem in health.problems()})
