"""The requests of a terminal: the life of an order. With an `Idempotency-Key` each is done once."""

from collections.abc import Callable
from typing import TypeVar

from prometheus_client import Counter
from pydantic import BaseModel, ValidationError

from cloud_endpoint.access.credentials import Credential, Role, authenticate
from cloud_endpoint.base.clock import DAY_MS, HOUR_MS
from cloud_endpoint.base.errors import Problem, invalid
from cloud_endpoint.database.service import Service, Work
from cloud_endpoint.ordering import apply, limits, offers, orders, payments, submissions
from cloud_endpoint.ordering.messages import (
    Appeal,
    BerthNumberAcquisition,
    CandidateBerths,
    OrderAnswer,
    PaymentAnswer,
    PaymentReport,
    PrePaymentOrder,
)
from cloud_endpoint.ordering.order import Order, answer
from cloud_endpoint.ordering.states import Instruction
from cloud_endpoint.review import appeals
from cloud_endpoint.web.calls.idempotency import answer_once, is_repeated

INSTRUCTIONS = Counter("edged_cloud_checks", "Answers to submitted orders by instruction", ["instruction"])
Answer = TypeVar("Answer", bound=BaseModel)


def open_order(
    service: Service, token: str, request: BerthNumberAcquisition, key: str | None = None
) -> OrderAnswer:
    """泊位号获取指令: open an order, within the limits of account, phone and zone."""
    limit = service.settings.limits
    with service.writing() as work:
        who = authenticate(work.connection, token, Role.TERMINAL)
        # Counted even if the place turns out unknown: guessing pole codes is bounded too.
        if not is_repeated(work.connection, who, key):
            _charge_account(work, who, request.account_id)
            if request.client_id is not None:
                limits.charge(
                    work,
                    who.site_id,
                    "client",
                    request.client_id,
                    most=limit.orders_per_client_per_day,
                    window_ms=DAY_MS,
                )

    with service.writing() as work:

        def act() -> OrderAnswer:
            zone = offers.zone_of(work, who.site_id, request.place)
            most = limit.orders_per_zone_per_hour
            limits.charge(work, who.site_id, "zone", zone, most=most, window_ms=HOUR_MS)
            order = offers.open_order(work, who.site_id, who.credential_id, request)
            return answer(order, work.settings)

        return answer_once(work, who, key, f"open {request.model_dump_json()}", OrderAnswer, act)


def _charge_account(work: Work, who: Credential, account_id: str) -> None:
    limits.charge(
        work,
        who.site_id,
        "account",
        account_id,
        most=work.settings.limits.orders_per_account_per_day,
        window_ms=DAY_MS,
    )


def offer(
    service: Service, token: str, order_id: str, key: str | None = None, *, elsewhere: bool = False
) -> CandidateBerths:
    """候选泊位号 for an order; `elsewhere` looks for others than those of before."""

    def act(work: Work, order: Order) -> CandidateBerths:
        return offers.offer(work, order, elsewhere=elsewhere)

    return _step(service, token, order_id, key, f"offer {order_id}", CandidateBerths, act)


def submit(
    service: Service, token: str, order_id: str, request: PrePaymentOrder, key: str | None = None
) -> OrderAnswer:
    """预缴费订单: check the second plate."""
    try:
        answered = _submit(service, token, order_id, request, key)
    except Problem as refused:
        if refused.slug == submissions.PRESENCE_REQUIRED and request.presence is not None:
            _charge_guess(service, token, order_id)
        raise
    if answered.instruction is Instruction.PENDING:
        service.wake.set()  # a picture has been asked for
    INSTRUCTIONS.labels(answered.instruction or "none").inc()
    return answered


def _submit(
    service: Service, token: str, order_id: str, request: PrePaymentOrder, key: str | None
) -> OrderAnswer:
    with service.writing() as work:

        def act() -> OrderAnswer:
            order = submissions.submit(work, token, order_id, request)
            return answer(order, work.settings)

        if key is None:
            return act()  # it authenticates in the one query that finds everything
        who = authenticate(work.connection, token, Role.TERMINAL)
        body = f"submit {order_id} {request.model_dump_json()}"
        return answer_once(work, who, key, body, OrderAnswer, act)


def _charge_guess(service: Service, token: str, order_id: str) -> None:
    """Count a wrong proof of presence as an order: the codes on the poles must not be guessed here either."""
    with service.writing() as work:
        who = authenticate(work.connection, token, Role.TERMINAL)
        order = orders.load(
            work.connection, who.site_id, order_id, credential_id=who.credential_id, lock=False
        )
        _charge_account(work, who, order.account_id)


def cancel(service: Service, token: str, order_id: str, key: str | None = None) -> OrderAnswer:
    """End an order that is not paid."""

    def act(work: Work, order: Order) -> OrderAnswer:
        return answer(apply.cancel(work, order), work.settings)

    return _step(service, token, order_id, key, f"cancel {order_id}", OrderAnswer, act)


def appeal(
    service: Service, token: str, order_id: str, request: Appeal, key: str | None = None
) -> OrderAnswer:
    """Object to what became of an order."""

    def act(work: Work, order: Order) -> OrderAnswer:
        return answer(appeals.appeal(work, order, request.reason), work.settings)

    answered = _step(
        service, token, order_id, key, f"appeal {order_id} {request.model_dump_json()}", OrderAnswer, act
    )
    service.wake.set()  # the picture is fetched
    return answered


def _step(
    service: Service,
    token: str,
    order_id: str,
    key: str | None,
    request: str,
    kind: type[Answer],
    act: Callable[[Work, Order], Answer],
) -> Answer:
    """Do one thing to the terminal's own order, once for each key."""
    with service.writing() as work:
        who = authenticate(work.connection, token, Role.TERMINAL)

        def locked() -> Answer:
            order = orders.load(
                work.connection, who.site_id, order_id, credential_id=who.credential_id, lock=True
            )
            return act(work, order)

        return answer_once(work, who, key, request, kind, locked)


def find(service: Service, token: str, order_id: str) -> Order:
    """Return the terminal's order as it is now; raises Problem."""
    with service.reading() as work:
        who = authenticate(work.connection, token, Role.TERMINAL)
        return orders.load(
            work.connection, who.site_id, order_id, credential_id=who.credential_id, lock=False
        )


def view(service: Service, token: str, order_id: str) -> OrderAnswer:
    """Return the present state of an order."""
    return answer(find(service, token, order_id), service.settings)


def report_payment(service: Service, credential_id: str, header: str, body: bytes) -> PaymentAnswer:
    """Take the operator's signed payment callback."""
    with service.writing() as work:
        site_id = payments.authentic(work, credential_id, header, body)
        try:
            payment = PaymentReport.model_validate_json(body)
        except ValidationError as exc:
            raise invalid(exc.errors()[0]) from exc
        return payments.report(work, site_id, credential_id, payment)
