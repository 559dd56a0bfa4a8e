"""The life of a pre-payment order as a table: (state, event) -> (state, instruction).

An event that the table does not have is an `IllegalEvent` and changes nothing. Two promises are rows
that are missing on purpose: a submitted order cannot go to `plate_modification` without having been
`pending` (each mismatch is recaptured first), and only MATCH and an operator's APPROVE confirm.
"""

from enum import StrEnum

from cloud_endpoint.base.errors import CloudError
from cloud_endpoint.base.order_states import OrderState

__all__ = ["INSTRUCTIONS", "TABLE", "IllegalEvent", "Instruction", "OrderEvent", "OrderState", "step"]


class OrderEvent(StrEnum):
    """What can happen to an order."""

    OFFER = "offer"  # candidate berths went out
    SUBMIT = "submit"  # a pre-payment order with the second plate came in
    MATCH = "match"  # first plate == second plate, and the berth is held for this order
    MISMATCH = "mismatch"  # a fresh, accepted reading shows another plate
    WAIT = "wait"  # nothing reliable yet
    DOUBT = "doubt"  # differs where the model doubts itself
    GIVE_UP = "give_up"  # too many modifications or captures: a human decides
    APPROVE = "approve"  # the operator reads the same plate
    REFUSE = "refuse"  # the operator does not
    LEAVE = "leave"  # the vehicle that was confirmed left before payment, or while a human was to decide
    WITHDRAW = "withdraw"  # the pole takes back the reading that confirmed
    PAY = "pay"  # the operator's signed callback
    APPEAL = "appeal"  # the driver objects after the fact
    CORRECT = "correct"  # an operator's correction after the fact
    CANCEL = "cancel"
    EXPIRE = "expire"


class Instruction(StrEnum):
    """The message that a terminal gets."""

    CANDIDATE_BERTHS = "candidate_berths"
    ORDER_CONFIRMATION = "order_confirmation"
    PLATE_MODIFICATION = "plate_modification"
    PENDING = "pending"
    REVIEW = "review"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class IllegalEvent(CloudError):
    """An event that an order in this state cannot take."""

    def __init__(self, state: OrderState, event: OrderEvent) -> None:
        super().__init__(f"an order that is {state} cannot take {event}")
        self.state = state
        self.event = event


S, E = OrderState, OrderEvent

TABLE: dict[tuple[OrderState, OrderEvent], OrderState] = {
    (S.DRAFT, E.OFFER): S.OFFERED,
    (S.DRAFT, E.CANCEL): S.CANCELLED,
    (S.DRAFT, E.EXPIRE): S.EXPIRED,
    (S.OFFERED, E.OFFER): S.OFFERED,
    (S.OFFERED, E.SUBMIT): S.SUBMITTED,
    (S.OFFERED, E.CANCEL): S.CANCELLED,
    (S.OFFERED, E.EXPIRE): S.EXPIRED,
    # Submitted lasts for one transaction: the check decides in the same one.
    (S.SUBMITTED, E.MATCH): S.CONFIRMED,
    (S.SUBMITTED, E.WAIT): S.PENDING,
    (S.PENDING, E.WAIT): S.PENDING,
    (S.PENDING, E.MATCH): S.CONFIRMED,
    (S.PENDING, E.MISMATCH): S.PLATE_MODIFICATION,
    (S.PENDING, E.DOUBT): S.REVIEW,
    (S.PENDING, E.GIVE_UP): S.REVIEW,
    (S.PENDING, E.CANCEL): S.CANCELLED,
    (S.PENDING, E.EXPIRE): S.EXPIRED,
    (S.PENDING, E.LEAVE): S.EXPIRED,  # of an order whose reading was taken back
    (S.PLATE_MODIFICATION, E.OFFER): S.PLATE_MODIFICATION,
    (S.PLATE_MODIFICATION, E.SUBMIT): S.SUBMITTED,
    (S.PLATE_MODIFICATION, E.CANCEL): S.CANCELLED,
    (S.PLATE_MODIFICATION, E.EXPIRE): S.EXPIRED,
    (S.REVIEW, E.MATCH): S.CONFIRMED,  # a later picture, before an operator had decided
    (S.REVIEW, E.APPROVE): S.CONFIRMED,
    (S.REVIEW, E.REFUSE): S.CANCELLED,
    (S.REVIEW, E.LEAVE): S.EXPIRED,
    (S.REVIEW, E.EXPIRE): S.EXPIRED,  # no operator decided in time
    (S.REVIEW, E.CANCEL): S.CANCELLED,
    (S.CONFIRMED, E.PAY): S.PAID,
    (S.CONFIRMED, E.LEAVE): S.EXPIRED,
    (S.CONFIRMED, E.WITHDRAW): S.PENDING,
    (S.CONFIRMED, E.CANCEL): S.CANCELLED,
    (S.CONFIRMED, E.EXPIRE): S.EXPIRED,
    # Paid while it was confirmed, reported after the car had left, the hold had run out or the reading
    # had been taken back.
    (S.EXPIRED, E.PAY): S.PAID,
    (S.PENDING, E.PAY): S.PAID,
    (S.REVIEW, E.PAY): S.PAID,
    (S.PAID, E.PAY): S.PAID,  # for a longer stay
    # After the fact nothing is overwritten: the events themselves are the record.
    **{(s, e): s for s in (S.PAID, S.EXPIRED, S.CANCELLED) for e in (E.APPEAL, E.CORRECT)},
}

INSTRUCTIONS: dict[OrderState, Instruction | None] = {
    S.DRAFT: None,
    S.OFFERED: Instruction.CANDIDATE_BERTHS,
    S.SUBMITTED: Instruction.PENDING,
    S.PENDING: Instruction.PENDING,
    S.PLATE_MODIFICATION: Instruction.PLATE_MODIFICATION,
    S.REVIEW: Instruction.REVIEW,
    S.CONFIRMED: Instruction.ORDER_CONFIRMATION,
    S.PAID: Instruction.ORDER_CONFIRMATION,
    S.EXPIRED: Instruction.EXPIRED,
    S.CANCELLED: Instruction.CANCELLED,
}


def step(state: OrderState, event: OrderEvent) -> tuple[OrderState, Instruction | None]:
    """Return the state after `event` and the instruction that goes with it; raises IllegalEvent."""
    try:
        after = TABLE[state, event]
    except KeyError:
        raise IllegalEvent(state, event) from None
    return after, INSTRUCTIONS[after]
