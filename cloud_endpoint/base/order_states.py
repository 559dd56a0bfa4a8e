"""The states of a pre-payment order, and the sets of them that several rooms ask for.

What leads from one to another is the table in `ordering.states`.
"""

from enum import StrEnum


class OrderState(StrEnum):
    """The state of an order."""

    DRAFT = "draft"
    OFFERED = "offered"
    SUBMITTED = "submitted"
    PENDING = "pending"
    PLATE_MODIFICATION = "plate_modification"
    REVIEW = "review"
    CONFIRMED = "confirmed"
    PAID = "paid"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


UNDECIDED = (OrderState.SUBMITTED, OrderState.PENDING)
# News of the pole about the berth may change these.
WATCHED = (OrderState.PENDING, OrderState.REVIEW, OrderState.CONFIRMED)
CLOSED = (OrderState.PAID, OrderState.EXPIRED, OrderState.CANCELLED)
# As they are stored: SUBMITTED lasts for one transaction.
OPEN = tuple(state for state in OrderState if state not in (*CLOSED, OrderState.SUBMITTED))
CHOOSING = (OrderState.OFFERED, OrderState.PLATE_MODIFICATION)  # the driver chooses a berth
HOLDING = (OrderState.CONFIRMED, OrderState.PAID)  # the berth is held for the order
