"""The plate check, pure: what an order's second plate and the berth's first plate amount to.

Equality of normalised plates is the only way to MATCH. Whatever is not read reliably is WAIT, never
MISMATCH; and MISMATCH needs a picture that was taken for this very submission.
"""

from dataclasses import dataclass

from cloud_endpoint.base.check_rules import Rules
from cloud_endpoint.ordering.states import OrderEvent
from cloud_endpoint.poles.visits import Sight
from edged.domain.plate import differing_positions


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the order says: the second plate, normalised, and what this order has used up so far."""

    plate: str
    captures: int = 0  # answered for this submission
    capture_on_its_way: bool = False
    modifications: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The event for the order, why (for the record, not for the driver), and whether to ask for a picture."""

    event: OrderEvent
    reason: str
    recapture: bool = False


def decide(claim: Claim, sight: Sight | None, *, now_ms: int, rules: Rules) -> Decision:
    """Return what becomes of a submitted or pending order, given what is seen in its berth."""
    if sight is None:
        # The driver may be faster than the sensor: look once, then wait for the drive-in.
        return _wait(claim, "no_visit", more=claim.captures == 0)
    if sight.captured_ms is None and now_ms - sight.seen_ms < rules.reading_grace_ms:
        return _wait(claim, "being_read", more=False)
    unreliable = _unreliable(sight, now_ms, rules)
    if unreliable is not None:
        return _look_again(claim, unreliable, rules)
    assert sight.plate is not None  # narrowed by _unreliable
    if sight.plate == claim.plate:
        return Decision(event=OrderEvent.MATCH, reason="equal")
    if not sight.fresh:
        return _look_again(claim, "differs_unconfirmed", rules)
    if _doubted(claim.plate, sight.plate, sight.characters, rules.doubt_below):
        # The next picture may show it better.
        if claim.captures < rules.max_captures:
            return _wait(claim, "differs_where_doubted", more=True)
        return Decision(event=OrderEvent.DOUBT, reason="differs_where_doubted")
    if claim.modifications >= rules.max_modifications:
        return Decision(event=OrderEvent.GIVE_UP, reason="too_many_modifications")
    return Decision(event=OrderEvent.MISMATCH, reason="differs")


def _unreliable(sight: Sight, now_ms: int, rules: Rules) -> str | None:
    if sight.plate is None or sight.captured_ms is None:
        return "not_read"
    if not sight.accepted:
        return "not_accepted"
    if sight.time_unsure:
        return "time_unsure"
    if now_ms - sight.captured_ms > rules.reading_max_age_ms:
        return "too_old"
    return None


def _look_again(claim: Claim, reason: str, rules: Rules) -> Decision:
    if claim.captures >= rules.max_captures and not claim.capture_on_its_way:
        return Decision(event=OrderEvent.GIVE_UP, reason=reason)
    return _wait(claim, reason, more=True)


def _wait(claim: Claim, reason: str, *, more: bool) -> Decision:
    recapture = more and not claim.capture_on_its_way
    return Decision(event=OrderEvent.WAIT, reason=reason, recapture=recapture)


def _doubted(ordered: str, read: str, characters: tuple[float, ...], doubt_below: float) -> bool:
    """Tell whether the plates differ in one character only, and there the model was not sure.

    Of lengths that differ by one (a green plate that lost a character) the place is not known, so the
    weakest character counts.
    """
    positions = differing_positions(ordered, read)
    if positions is None:
        near = _one_dropped(ordered, read) or _one_dropped(read, ordered)
        return near and min(characters, default=0.0) < doubt_below
    if len(positions) != 1:
        return False
    at = positions[0]
    return at >= len(characters) or characters[at] < doubt_below


def _one_dropped(longer: str, shorter: str) -> bool:
    return len(longer) == len(shorter) + 1 and any(
        longer[:i] + longer[i + 1 :] == shorter for i in range(len(longer))
    )
