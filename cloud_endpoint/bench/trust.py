"""`bench trust`: is anybody billed for a stranger, or a right driver told to correct a right plate?

The same drivers go through the pure decision (10^6 visits) and through the real service with its
database (10^4), with a pole whose answers take as long as they do on the street.
"""

import json
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cloud_endpoint.bench.town import Seen, Town, measured_reader, mistyped, new_plate, read
from cloud_endpoint.bench.trust_service import ServiceWorld
from cloud_endpoint.checking import Claim, Rules, Sight, decide
from cloud_endpoint.order_states import OrderEvent, OrderState, step

CAPTURE_S = (1.5, 6.0)  # a pull and a burst, over 4G
SYNC_S = (0.5, 6.0)  # until a drive-in and its reading are at the cloud
PATIENCE = 4  # submissions of a driver who knows to be right


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the orders."""

    orders: int = 0
    confirmed: int = 0
    wrongly_confirmed: int = 0
    right_orders: int = 0
    right_told_to_modify: int = 0
    reviews: int = 0
    pending: int = 0
    pending_late: int = 0  # not answered within 20 s
    ends: Counter[str] = field(default_factory=Counter)

    def figures(self) -> dict[str, float]:
        """Return what is reported."""
        return {
            "orders": self.orders,
            "wrong_confirmations": self.wrongly_confirmed,
            "right_told_to_modify_per_1000": round(
                1000 * self.right_told_to_modify / max(1, self.right_orders), 3
            ),
            "pending_within_20_s": round(1 - self.pending_late / max(1, self.pending), 5),
            "reviews_share": round(self.reviews / max(1, self.orders), 5),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One driver: what stands in the berth chosen, what was read of it, and what the driver types."""

    standing: str  # the plate of the car that truly stands there
    first: Seen | None  # None: ordered before the reading arrived
    typed: str
    right: bool  # the driver's own car, its plate typed right


def story(town: Town, rng: random.Random) -> Story:
    """Return a random driver's story."""
    own = new_plate(rng)
    wrong_berth = rng.random() < town.wrong_berth
    standing = new_plate(rng) if wrong_berth else own
    typo = rng.random() < town.typing_error
    # After a missed swap the reading is of the car before.
    read_of = new_plate(rng) if rng.random() < town.missed_swap else standing
    early = rng.random() < town.before_the_reading
    return Story(
        standing=standing,
        first=None if early else read(read_of, town.reader, rng),
        typed=mistyped(own, rng) if typo else own,
        right=not wrong_berth and not typo,
    )


def pure_order(tale: Story, town: Town, rules: Rules, rng: random.Random, tally: Tally) -> None:
    """Take one order through the state table with the decision code alone."""
    tally.orders += 1
    tally.right_orders += tale.right
    state, told = OrderState.OFFERED, False
    seen = tale.first
    for modifications in range(PATIENCE):
        state, _ = step(state, OrderEvent.SUBMIT)
        state, seen, waited_s = _one_submission(tale, seen, state, modifications, town, rules, rng)
        if waited_s > 0:
            tally.pending += 1
            tally.pending_late += waited_s > 20
        if state is not OrderState.PLATE_MODIFICATION:
            break
        told = True
        if not tale.right:
            break  # corrects the plate or the berth: another story
    tally.right_told_to_modify += told and tale.right
    tally.ends[state] += 1
    tally.reviews += state is OrderState.REVIEW
    if state is OrderState.CONFIRMED:
        tally.confirmed += 1
        tally.wrongly_confirmed += tale.typed != tale.standing


def _one_submission(
    tale: Story,
    seen: Seen | None,
    state: OrderState,
    modifications: int,
    town: Town,
    rules: Rules,
    rng: random.Random,
) -> tuple[OrderState, Seen | None, float]:
    now_ms = 10**9
    waited_s, captures, fresh = 0.0, 0, False
    while True:
        sight = _sight(seen, now_ms, fresh) if seen else None
        claim = Claim(plate=tale.typed, captures=captures, modifications=modifications)
        decision = decide(claim, sight, now_ms=now_ms, rules=rules)
        state, _ = step(state, decision.event)
        if decision.event is not OrderEvent.WAIT:
            return state, seen, waited_s
        if decision.recapture:
            waited_s += rng.uniform(*CAPTURE_S)
            captures += 1
            fresh = seen is not None
            seen = read(tale.standing, town.reader, rng, before=_correlated(seen, tale)) if seen else None
        if seen is None:  # the drive-in comes
            waited_s += rng.uniform(*SYNC_S)
            seen, fresh = read(tale.standing, town.reader, rng), False


def _correlated(seen: Seen | None, tale: Story) -> Seen | None:
    """A new picture shows the car that stands there, not one that was swapped away."""
    if seen is None or sum(a != b for a, b in zip(seen.plate, tale.standing, strict=True)) > 1:
        return None
    return seen


def _sight(seen: Seen, now_ms: int, fresh: bool) -> Sight:
    return Sight(
        visit_id="v",
        seen_ms=0,
        plate=seen.plate,
        characters=seen.characters,
        accepted=seen.accepted,
        captured_ms=now_ms,
        fresh=fresh,
    )


def run(*, visits: int, through_service: int, reader: Path | None, seed: int) -> None:
    """Run both, print a table and one JSON line."""
    console = Console()
    town = Town(reader=measured_reader(reader)) if reader else Town()
    console.print(f"reader {'as measured in ' + str(reader) if reader else 'as assumed'}: {town}")
    rng = random.Random(seed)
    pure = Tally()
    rules = Rules(reading_grace_ms=0)
    for _ in range(visits):
        pure_order(story(town, rng), town, rules, rng, pure)
    real = Tally()
    with tempfile.TemporaryDirectory(prefix="edged-trust-") as folder, ServiceWorld(Path(folder)) as world:
        for _ in range(through_service):
            world.order(story(town, rng), town, rng, real, PATIENCE, CAPTURE_S, _correlated)
    table = Table("figure", "decision code", "service", "target")
    targets = {
        "wrong_confirmations": "0",
        "right_told_to_modify_per_1000": "<= 1",
        "pending_within_20_s": ">= 0.99",
        "reviews_share": "<= 0.01",
    }
    left, right = pure.figures(), real.figures()
    for name in left:
        table.add_row(name, str(left[name]), str(right[name]), targets.get(name, ""))
    console.print(table)
    console.print(f"ends: {dict(pure.ends)}; through the service: {dict(real.ends)}")
    print(
        json.dumps(
            {"bench": "trust", "reader": "measured" if reader else "assumed", "pure": left, "service": right}
        )
    )
