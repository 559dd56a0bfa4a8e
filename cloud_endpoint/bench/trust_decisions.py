"""The town's drivers through the state table with the decision code alone."""

import random

from cloud_endpoint.base.check_rules import Rules
from cloud_endpoint.base.settings import OrderSettings
from cloud_endpoint.bench.stories import CAPTURE_S, PATIENCE, SYNC_S, Story, Tally, looked_again
from cloud_endpoint.bench.town import Seen, Town, read
from cloud_endpoint.ordering.decide import Claim, Decision, decide
from cloud_endpoint.ordering.states import OrderEvent, OrderState, step
from cloud_endpoint.poles.visits import Sight

NOW_MS = 10**9
TIMES = OrderSettings()


def order(tale: Story, town: Town, rules: Rules, rng: random.Random, tally: Tally) -> None:
    """Take one order to its end."""
    state, told = OrderState.OFFERED, False
    seen = tale.first
    for modifications in range(PATIENCE):
        state, _ = step(state, OrderEvent.SUBMIT)
        state, seen = _submission(tale, seen, state, modifications, town, rules, rng, tally)
        if state is not OrderState.PLATE_MODIFICATION:
            break
        told = True
        if not tale.right:
            break  # corrects the plate or the berth: another story
    if state is OrderState.REVIEW and seen is not None:
        state = _looked_on(tale, seen, state, town, rules, rng)
    tally.ended(tale, state, told=told)


def _submission(
    tale: Story,
    seen: Seen | None,
    state: OrderState,
    modifications: int,
    town: Town,
    rules: Rules,
    rng: random.Random,
    tally: Tally,
) -> tuple[OrderState, Seen | None]:
    waited_s, captures, fresh = 0.0, 0, False
    while True:
        decision = _decided(tale, seen, rules, captures=captures, modifications=modifications, fresh=fresh)
        state, _ = step(state, decision.event)
        if decision.event is not OrderEvent.WAIT:
            tally.waited(waited_s)
            if state is OrderState.REVIEW:
                tally.sent_to_review[decision.reason] += 1
            return state, seen
        if decision.recapture:
            waited_s += rng.uniform(*CAPTURE_S)
            captures += 1
            fresh = seen is not None
            seen = looked_again(seen, tale, town, rng) if seen else None
        if seen is None:  # the drive-in comes
            waited_s += rng.uniform(*SYNC_S)
            seen, fresh = read(tale.standing, town.reader, rng), False


def _looked_on(
    tale: Story, seen: Seen, state: OrderState, town: Town, rules: Rules, rng: random.Random
) -> OrderState:
    """While the order is in the operator's queue the pole looks on, and a match takes it out."""
    for _ in range(int(TIMES.lifetime_s / TIMES.review_look_s) - 1):
        seen = looked_again(seen, tale, town, rng)
        decision = _decided(tale, seen, rules, captures=rules.max_captures, modifications=0, fresh=True)
        if decision.event is OrderEvent.MATCH:
            return step(state, decision.event)[0]
    return state


def _decided(
    tale: Story, seen: Seen | None, rules: Rules, *, captures: int, modifications: int, fresh: bool
) -> Decision:
    sight = None
    if seen is not None:
        sight = Sight(
            visit_id="v",
            seen_ms=0,
            plate=seen.plate,
            characters=seen.characters,
            accepted=seen.accepted,
            captured_ms=NOW_MS,
            fresh=fresh,
        )
    claim = Claim(plate=tale.typed, captures=captures, modifications=modifications)
    return decide(claim, sight, now_ms=NOW_MS, rules=rules)
