"""The order table: what may happen, and that everything else is refused and changes nothing."""

from itertools import product

import pytest

from cloud_endpoint.base.order_states import CLOSED
from cloud_endpoint.ordering.order import Order, advance
from cloud_endpoint.ordering.states import (
    INSTRUCTIONS,
    TABLE,
    IllegalEvent,
    OrderEvent,
    OrderState,
    step,
)

REFUSED = [cell for cell in product(OrderState, OrderEvent) if cell not in TABLE]


def an_order(state: OrderState) -> Order:
    return Order(
        site_id="s",
        order_id="ord_12345678",
        credential_id="app",
        account_id="a",
        client_id=None,
        place={"zone": "z"},
        state=state,
        reason=None,
        created_ms=0,
        expires_ms=900_000,
        due_ms=900_000,
    )


@pytest.mark.parametrize(("state", "event"), REFUSED)
def test_an_illegal_event_is_an_error_and_changes_nothing(state: OrderState, event: OrderEvent) -> None:
    order = an_order(state)
    with pytest.raises(IllegalEvent, match=f"{state} cannot take {event}"):
        advance(order, event, now_ms=1, reason="x")
    assert order == an_order(state)


@pytest.mark.parametrize(("state", "event"), list(TABLE))
def test_a_legal_event_leaves_one_line_of_history(state: OrderState, event: OrderEvent) -> None:
    after = advance(an_order(state), event, now_ms=7, reason="why")
    assert (after.state, after.changes) == (TABLE[state, event], 1)
    assert [(e.number, e.at_ms, e.event, e.reason) for e in after.log] == [(1, 7, event, "why")]
    assert step(state, event) == (after.state, INSTRUCTIONS[after.state])


def test_only_a_match_or_an_operator_confirms() -> None:
    confirming = {event for (state, event), after in TABLE.items() if after is OrderState.CONFIRMED}
    assert confirming == {OrderEvent.MATCH, OrderEvent.APPROVE}


def test_nobody_is_told_to_modify_without_having_been_pending() -> None:
    before = {
        state
        for (state, event), after in TABLE.items()
        if after is OrderState.PLATE_MODIFICATION and event is not OrderEvent.OFFER
    }
    assert before == {OrderState.PENDING}


def test_what_is_closed_stays_closed_but_a_payment_in_time_still_counts() -> None:
    for (state, event), after in TABLE.items():
        if state in CLOSED and (state, event) != (OrderState.EXPIRED, OrderEvent.PAY):
            assert after is state, (state, event)


def test_every_state_has_an_instruction_entry_and_can_be_reached() -> None:
    assert set(INSTRUCTIONS) == set(OrderState)
    assert set(TABLE.values()) == set(OrderState) - {OrderState.DRAFT}
