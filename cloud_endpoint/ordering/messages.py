"""Messages between terminal and cloud; one word per thing, as in the pole's wire."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.json_schema import SkipJsonSchema

from cloud_endpoint.ordering.states import Instruction, OrderState
from edged.wire.base import BerthNo, Identifier, UtcTime

Account = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_.@-]{1,64}$")]
NO_NUL = r"^[^\x00]*$"  # PostgreSQL keeps none
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=NO_NUL)]
Minutes = Annotated[int, Field(ge=1, le=24 * 60)]
PlaceName = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_.-]{1,64}$")]


class Message(BaseModel):
    """A request with a misspelt field is refused, not half understood."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Position(Message):
    """WGS 84, from the phone."""

    lat: Annotated[float, Field(ge=-90, le=90)]
    lon: Annotated[float, Field(ge=-180, le=180)]


def _one_of_the_properties(schema: dict[str, Any]) -> None:
    """Say in the OpenAPI what `_exactly_one` checks."""
    properties = schema.pop("properties")
    schema.pop("additionalProperties")
    schema["oneOf"] = [
        {"type": "object", "properties": {name: of}, "required": [name], "additionalProperties": False}
        for name, of in properties.items()
    ]


class Place(Message):
    """Where the driver is: exactly one of the three."""

    model_config = ConfigDict(json_schema_extra=_one_of_the_properties)

    position: Position | SkipJsonSchema[None] = None
    zone: PlaceName | SkipJsonSchema[None] = None
    pole_code: PlaceName | SkipJsonSchema[None] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "Place":
        given = [getattr(self, name) for name in self.model_fields_set]
        if len(given) != 1 or given[0] is None:
            raise ValueError("give exactly one of position, zone and pole_code")
        return self


class Presence(Message):
    """Proof that the driver is at the berth, for an order that was opened for a whole zone."""

    position: Position | None = None
    pole_code: PlaceName | None = None


class BerthNumberAcquisition(Message):
    """泊位号获取指令: opens an order. `account_id` and `client_id` name the driver and the phone."""

    place: Place
    account_id: Account
    client_id: Account | None = None


class Candidate(Message):
    """One berth to choose; the token is good for this order only."""

    berth_no: BerthNo
    token: str


class CandidateBerths(Message):
    """候选泊位号, in the order of the kerb."""

    order_id: Identifier
    state: OrderState
    instruction: Instruction
    candidates: tuple[Candidate, ...]
    expires_at: UtcTime


class PrePaymentOrder(Message):
    """预缴费订单: the second plate for one of the candidate berths."""

    berth_token: Annotated[str, Field(min_length=8, max_length=128)]
    plate: Annotated[str, Field(min_length=1, max_length=32)]
    minutes: Minutes
    presence: Presence | None = None


class OrderAnswer(Message):
    """The state of an order and the instruction for the driver; never what the pole read.

    `hold_until` comes with order_confirmation, `attempts_left` with plate_modification, and
    `retry_after_s` with pending: ask again then, or use `?wait=20`.
    """

    order_id: Identifier
    state: OrderState
    instruction: Instruction | None
    reason: str | None = None
    expires_at: UtcTime
    hold_until: UtcTime | None = None
    attempts_left: int | None = None
    retry_after_s: float | None = None


class OrderWebhook(Message):
    """What is posted to a terminal's webhook URL after each change of an order that a terminal may know.

    `number` increases by order, with gaps. Webhooks are repeated until a 2xx answers, and may overtake each
    other: drop one whose number is not above the highest that you have of this order. Verify the header
    `Edged-Signature: t=<unix seconds>,v1=<hex>`: HMAC-SHA256 of `<t>.<body>` with the signing secret.
    """

    webhook_id: Identifier
    number: int
    sent_at: UtcTime
    order: OrderAnswer


class Appeal(Message):
    """A driver's objection after the fact."""

    reason: Reason


class PaymentReport(Message):
    """The operator's callback: this order was paid; a paid one again, for so many `minutes` more.

    Without `minutes` it was paid for those ordered.
    """

    payment_id: Identifier
    order_id: Identifier
    amount_fen: Annotated[int, Field(ge=0, le=10_000_000)]
    paid_at: UtcTime
    minutes: Minutes | None = None


class PaymentAnswer(Message):
    """`applied`, or `refund_due`: the order was not confirmed when it was paid, or its stay was over.

    `reason` of `refund_due`: nothing_paid, not_confirmed, cancelled, paid_too_early, paid_in_future,
    paid_too_late, paid_twice or vehicle_left.
    """

    payment_id: Identifier
    outcome: str
    reason: str | None = None


class ReviewChoice(StrEnum):
    """An operator's decision."""

    APPROVE = "approve"
    REFUSE = "refuse"


class ReviewDecision(Message):
    """`operator_plate` is what the operator reads in the picture; approval needs it to equal the order's."""

    decision: ReviewChoice
    operator_plate: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    reason: Reason


class ReviewView(Message):
    """A review as an authorised operator sees it: three plates, never merged."""

    review_id: Identifier
    kind: str
    order_id: Identifier
    berth_no: str | None
    reason: str
    opened_at: UtcTime
    read_plate: str | None
    ordered_plate: str | None
    operator_plate: str | None
    picture: str | None
    decision: str | None
    decision_reason: str | None
    decided_by: str | None
    decided_at: UtcTime | None
