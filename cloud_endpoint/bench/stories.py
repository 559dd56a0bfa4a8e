"""Drivers of the simulated town, and what became of their orders."""

import random
from collections import Counter
from dataclasses import dataclass, field

from cloud_endpoint.bench.town import Seen, Town, mistyped, new_plate, read
from cloud_endpoint.ordering.states import OrderState

CAPTURE_S = (1.5, 6.0)  # a pull and a burst, over 4G
SYNC_S = (0.5, 6.0)  # until a drive-in and its reading are at the cloud
PATIENCE = 4  # submissions of a driver who knows to be right
ANSWERED_WITHIN_S = 20


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


def looked_again(seen: Seen, tale: Story, town: Town, rng: random.Random) -> Seen:
    """Return what the next picture shows: the car that stands there, not one that was swapped away."""
    of_this_car = sum(a != b for a, b in zip(seen.plate, tale.standing, strict=True)) <= 1
    return read(tale.standing, town.reader, rng, before=seen if of_this_car else None)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the orders."""

    orders: int = 0
    wrongly_confirmed: int = 0
    right_orders: int = 0
    right_told_to_modify: int = 0
    sent_to_review: Counter[str] = field(default_factory=Counter)  # by reason
    left_in_review: int = 0
    pending: int = 0
    pending_late: int = 0  # not answered within 20 s
    ends: Counter[str] = field(default_factory=Counter)

    def waited(self, seconds: float) -> None:
        """Count a submission that was answered with pending at first."""
        if seconds > 0:
            self.pending += 1
            self.pending_late += seconds > ANSWERED_WITHIN_S

    def ended(self, tale: Story, state: OrderState, *, told: bool) -> None:
        """Count an order; `told` says that its driver was told to modify."""
        self.orders += 1
        self.right_orders += tale.right
        self.right_told_to_modify += told and tale.right
        self.ends[state] += 1
        self.left_in_review += state is OrderState.REVIEW
        self.wrongly_confirmed += state is OrderState.CONFIRMED and tale.typed != tale.standing

    def figures(self) -> dict[str, float]:
        """Return what is reported."""
        orders = max(1, self.orders)
        return {
            "orders": self.orders,
            "wrong_confirmations": self.wrongly_confirmed,
            "right_told_to_modify_per_1000": round(
                1000 * self.right_told_to_modify / max(1, self.right_orders), 3
            ),
            "pending_within_20_s": round(1 - self.pending_late / max(1, self.pending), 5),
            "sent_to_review_share": round(self.sent_to_review.total() / orders, 5),
            "reviews_share": round(self.left_in_review / orders, 5),
        }
