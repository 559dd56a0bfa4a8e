"""What a terminal asks: the life of a pre-payment order. What has an `Idempotency-Key` is done once."""

from collections.abc import Callable
from typing import TypeVar

from prometheus_client import Counter
from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection

from cloud_endpoint.access.credentials import Credential, Role, authenticate
from cloud_endpoint.base.clock import DAY_MS, HOUR_MS
from cloud_endpoint.base.errors import Problem, invalid
from cloud_endpoint.base.service import Cloud
from cloud_endpoint.database.engine import reading, writing
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
from cloud_endpoint.ordering.orders import Order, answer
from cloud_endpoint.ordering.states import Instruction
from cloud_endpoint.review import decisions
from cloud_endpoint.web.calls.idempotency import is_repeated, once

INSTRUCTIONS_TOLD = Counter(
    "edged_cloud_checks", "Answers to submitted orders by instruction", ["instruction"]
)
Answer = TypeVar("Answer", bound=BaseModel)


def open_order(
    cloud: Cloud, token: str, request: BerthNumberAcquisition, key: str | None = None
) -> OrderAnswer:
    """泊位号获取指令: open an order, within the limits of account, phone and zone."""
    now_ms = cloud.clock()
    limit = cloud.settings.limits
    with writing(cloud.engine) as connection:
        who = authenticate(connection, token, Role.TERMINAL)
        # Counted even if the place turns out unknown: guessing pole codes is bounded too.
        if not is_repeated(connection, who, key):
            _charge_account(cloud, connection, who, request.account_id)
            if request.client_id is not None:
                limits.charge(
                    connection,
                    who.site_id,
                    "client",
                    request.client_id,
                    most=limit.orders_per_client_per_day,
                    window_ms=DAY_MS,
                    now_ms=now_ms,
                )

    with writing(cloud.engine) as connection:

        def act() -> OrderAnswer:
            zone = offers.zone_of(connection, who.site_id, request.place, limit.near_m)
            most = limit.orders_per_zone_per_hour
            limits.charge(connection, who.site_id, "zone", zone, most=most, window_ms=HOUR_MS, now_ms=now_ms)
            order = offers.open_order(
                connection, who.site_id, who.credential_id, request, cloud.settings, now_ms
            )
            return answer(order, cloud.settings)

        return once(connection, who, key, f"open {request.model_dump_json()}", OrderAnswer, act, now_ms)


def _charge_account(cloud: Cloud, connection: Connection, who: Credential, account_id: str) -> None:
    limits.charge(
        connection,
        who.site_id,
        "account",
        account_id,
        most=cloud.settings.limits.orders_per_account_per_day,
        window_ms=DAY_MS,
        now_ms=cloud.clock(),
    )


def offer(
    cloud: Cloud, token: str, order_id: str, key: str | None = None, *, elsewhere: bool = False
) -> CandidateBerths:
    """候选泊位号 for an order; `elsewhere` looks for others than those of before."""

    def act(connection: Connection, order: Order) -> CandidateBerths:
        return offers.offer(connection, order, cloud.settings, cloud.clock(), elsewhere=elsewhere)

    return _step(cloud, token, order_id, key, f"offer {order_id}", CandidateBerths, act)


def submit(
    cloud: Cloud, token: str, order_id: str, request: PrePaymentOrder, key: str | None = None
) -> OrderAnswer:
    """预缴费订单: check the second plate."""
    try:
        told = _submit(cloud, token, order_id, request, key)
    except Problem as refused:
        if refused.slug == submissions.PRESENCE_REQUIRED and request.presence is not None:
            _charge_guess(cloud, token, order_id)
        raise
    if told.instruction is Instruction.PENDING:
        cloud.wake.set()  # a picture has been asked for
    INSTRUCTIONS_TOLD.labels(told.instruction or "none").inc()
    return told


def _submit(
    cloud: Cloud, token: str, order_id: str, request: PrePaymentOrder, key: str | None
) -> OrderAnswer:
    with writing(cloud.engine) as connection:

        def act() -> OrderAnswer:
            order = submissions.submit(connection, token, order_id, request, cloud.settings, cloud.clock())
            return answer(order, cloud.settings)

        if key is None:
            return act()  # it authenticates in the one query that finds everything
        who = authenticate(connection, token, Role.TERMINAL)
        body = f"submit {order_id} {request.model_dump_json()}"
        return once(connection, who, key, body, OrderAnswer, act, cloud.clock())


def _charge_guess(cloud: Cloud, token: str, order_id: str) -> None:
    """Count a wrong proof of presence as an order: the codes on the poles must not be guessed here either."""
    with writing(cloud.engine) as connection:
        who = authenticate(connection, token, Role.TERMINAL)
        order = orders.load(connection, who.site_id, order_id, credential_id=who.credential_id, lock=False)
        _charge_account(cloud, connection, who, order.account_id)


def cancel(cloud: Cloud, token: str, order_id: str, key: str | None = None) -> OrderAnswer:
    """End an order that is not paid."""

    def act(connection: Connection, order: Order) -> OrderAnswer:
        return answer(apply.cancel(connection, order, cloud.clock()), cloud.settings)

    return _step(cloud, token, order_id, key, f"cancel {order_id}", OrderAnswer, act)


def appeal(cloud: Cloud, token: str, order_id: str, request: Appeal, key: str | None = None) -> OrderAnswer:
    """Object to what became of an order."""

    def act(connection: Connection, order: Order) -> OrderAnswer:
        return answer(decisions.appeal(connection, order, request.reason, cloud.clock()), cloud.settings)

    told = _step(
        cloud, token, order_id, key, f"appeal {order_id} {request.model_dump_json()}", OrderAnswer, act
    )
    cloud.wake.set()  # the picture is fetched
    return told


def _step(
    cloud: Cloud,
    token: str,
    order_id: str,
    key: str | None,
    request: str,
    kind: type[Answer],
    act: Callable[[Connection, Order], Answer],
) -> Answer:
    """Do one thing to the terminal's own order, once for each key."""
    with writing(cloud.engine) as connection:
        who = authenticate(connection, token, Role.TERMINAL)

        def locked() -> Answer:
            order = orders.load(connection, who.site_id, order_id, credential_id=who.credential_id, lock=True)
            return act(connection, order)

        return once(connection, who, key, request, kind, locked, cloud.clock())


def view(cloud: Cloud, token: str, order_id: str) -> OrderAnswer:
    """Return an order as it stands."""
    with reading(cloud.engine) as connection:
        who = authenticate(connection, token, Role.TERMINAL)
        order = orders.load(connection, who.site_id, order_id, credential_id=who.credential_id, lock=False)
    return answer(order, cloud.settings)


def report_payment(cloud: Cloud, credential_id: str, header: str, body: bytes) -> PaymentAnswer:
    """Take the operator's signed payment callback."""
    now_ms = cloud.clock()
    with writing(cloud.engine) as connection:
        site_id = payments.authentic(connection, credential_id, header, body, now_ms)
        try:
            payment = PaymentReport.model_validate_json(body)
        except ValidationError as exc:
            raise invalid(exc.errors()[0]) from exc
        return payments.report(connection, site_id, credential_id, payment, now_ms)
