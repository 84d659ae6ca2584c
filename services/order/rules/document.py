"""An order as the store has it, and which of two documents holds."""

import json
from dataclasses import asdict
from datetime import datetime
from enum import IntEnum

from services.chassis.values import value

NANOS = 1_000_000_000


class PaymentStatus(IntEnum):
    """How far the store says that an order is paid; numbers as in the contract."""

    AWAITING = 1
    PAID = 2
    CANCELED = 3
    REFUNDED = 4
    PARTIALLY_REFUNDED = 5
    OTHER = 6


class FulfillmentKind(IntEnum):
    """How an order reaches its buyer; numbers as in the contract."""

    UNSPECIFIED = 0
    SHIPPING = 1
    DELIVERY = 2
    PICKUP = 3


class FulfillmentStatus(IntEnum):
    """How far the store says that an order is handed over; numbers as in the contract."""

    UNSPECIFIED = 0
    AWAITING_PROCESSING = 1
    PROCESSING = 2
    READY_FOR_PICKUP = 3
    OUT_FOR_DELIVERY = 4
    SHIPPED = 5
    DELIVERED = 6
    WILL_NOT_DELIVER = 7
    RETURNED = 8
    OTHER = 9


class DiscountKind(IntEnum):
    """Why something is taken off; numbers as in the contract."""

    UNSPECIFIED = 0
    ORDER = 1
    COUPON = 2
    VOLUME = 3
    CUSTOMER_GROUP = 4


class ChargeKind(IntEnum):
    """What is charged beside goods and shipping; numbers as in the contract."""

    TIP = 1
    SURCHARGE = 2
    FEE = 3
    ROUNDING = 4
    REFUND = 5


_FURTHER = (
    PaymentStatus.OTHER,
    PaymentStatus.AWAITING,
    PaymentStatus.PAID,
    PaymentStatus.PARTIALLY_REFUNDED,
    PaymentStatus.REFUNDED,
    PaymentStatus.CANCELED,
)
_HANDED_OVER_FURTHER = (
    FulfillmentStatus.UNSPECIFIED,
    FulfillmentStatus.OTHER,
    FulfillmentStatus.AWAITING_PROCESSING,
    FulfillmentStatus.PROCESSING,
    FulfillmentStatus.READY_FOR_PICKUP,
    FulfillmentStatus.OUT_FOR_DELIVERY,
    FulfillmentStatus.SHIPPED,
    FulfillmentStatus.DELIVERED,
    FulfillmentStatus.WILL_NOT_DELIVER,
    FulfillmentStatus.RETURNED,
)
_PAID = frozenset({PaymentStatus.PAID, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED})

WHOLE_REFUND = "total"
"""Id of the refund of an order that is refunded without saying by which refunds."""


@value(frozen=True, slots=True)
class Money:
    """An amount in billionths of its currency's unit."""

    currency_code: str
    amount_nanos: int


@value(frozen=True, slots=True)
class Discount:
    """Something taken off a whole order or sale."""

    kind: DiscountKind
    amount: Money
    name: str = ""
    code: str = ""


@value(frozen=True, slots=True)
class Charge:
    """Something charged beside goods and shipping; `amount` has its `tax` in it."""

    kind: ChargeKind
    amount: Money
    name: str = ""
    tax: Money | None = None


@value(frozen=True, slots=True)
class OrderPayment:
    """A payment as the store tells it."""

    amount: Money
    method: str = ""
    processor: str = ""
    pay_time: datetime | None = None

    @property
    def paid_by(self) -> str:
        """The integrated processor's name, else the method's (ORD-06)."""
        return self.processor or self.method or NAMELESS


@value(frozen=True, slots=True)
class OrderRefund:
    """Money that was given back, as the store tells it."""

    refund_id: str
    amount: Money
    refund_time: datetime | None = None
    reason: str = ""


@value(frozen=True, slots=True)
class Address:
    """Where somebody is."""

    name: str = ""
    street: str = ""
    city: str = ""
    postal_code: str = ""
    region_code: str = ""
    country_code: str = ""
    phone: str = ""


@value(frozen=True, slots=True)
class Line:
    """One line of an order. `quantity` is in thousandths."""

    line_id: str
    item_id: str
    sku: str
    name: str
    quantity: int
    unit_price: Money | None = None
    tax: Money | None = None
    discount: Money | None = None


NAMELESS = "Online payment"
"""What a payment is called whose method nobody told."""


@value(frozen=True, slots=True)
class Document:
    """An order as the store has it; see `OrderDocument` in the contract."""

    order_id: str
    version: int
    payment_status: PaymentStatus
    lines: tuple[Line, ...]
    total: Money
    place_time: datetime | None = None
    email: str = ""
    buyer_name: str = ""
    phone: str = ""
    payment_method: str = ""
    payment_processor: str = ""
    fulfillment_kind: FulfillmentKind = FulfillmentKind.UNSPECIFIED
    shipping_method: str = ""
    outlet_id: str = ""
    shipping_price: Money | None = None
    discount: Money | None = None
    tax: Money | None = None
    prices_include_tax: bool = False
    discounts: tuple[Discount, ...] = ()
    charges: tuple[Charge, ...] = ()
    shipping_tax: Money | None = None
    payments: tuple[OrderPayment, ...] = ()
    refunds: tuple[OrderRefund, ...] = ()
    store_payment_status: str = ""
    fulfillment_status: FulfillmentStatus = FulfillmentStatus.UNSPECIFIED
    store_fulfillment_status: str = ""
    tracking_number: str = ""
    ship_to: Address | None = None
    pickup_time: datetime | None = None
    buyer_comment: str = ""

    @property
    def canceled(self) -> bool:
        """Whether the store has canceled it."""
        return self.payment_status is PaymentStatus.CANCELED

    @property
    def paid(self) -> bool:
        """Whether it was paid in full: the store's status decides, whatever the method (ORD-07).

        What was refunded was paid before; the refund itself is no matter of this rule. Payments
        that are told one by one and do not come to the total leave it unpaid, and so does a status
        of which nobody knows what it means.
        """
        if self.payment_status not in _PAID:
            return False
        return not self.payments or self._paid_nanos >= self.total.amount_nanos

    @property
    def paid_by(self) -> str:
        """The integrated processor's name, else the method's (ORD-06)."""
        return self.payment_processor or self.payment_method or NAMELESS

    @property
    def payments_made(self) -> tuple[OrderPayment, ...]:
        """What was paid: the payments that are told, else one of the total when it is paid."""
        if self.payments or not self.paid or not self.total.amount_nanos:
            return self.payments
        return (OrderPayment(self.total, self.payment_method, self.payment_processor),)

    @property
    def refunds_made(self) -> tuple[OrderRefund, ...]:
        """What was given back: the refunds that are told, else the total, once, of an order that
        is refunded without saying so (BEY-13).
        """
        whole = self.payment_status is PaymentStatus.REFUNDED and self.total.amount_nanos > 0
        if self.refunds or not whole:
            return self.refunds
        return (OrderRefund(WHOLE_REFUND, self.total),)

    @property
    def address(self) -> str:
        """The buyer's e-mail address as addresses are compared: case and space do not matter."""
        return self.email.strip().casefold()

    @property
    def _paid_nanos(self) -> int:
        return sum(payment.amount.amount_nanos for payment in self.payments)


def newer(document: Document, known: Document | None) -> bool:
    """Whether `document` holds against the known one (ORD-11).

    The store's version decides. Where it is the same (a store counts in seconds) the payment that
    got further does, then what is handed over further, then the contents: of any two documents one
    holds, so that the order in which they arrive never matters (BEY-08).
    """
    if known is None:
        return True
    if (rank := _rank(document)) != (known_rank := _rank(known)):
        return rank > known_rank
    return document != known and _contents(document) > _contents(known)


def _rank(document: Document) -> tuple[int, int, int]:
    return (
        document.version,
        _FURTHER.index(document.payment_status),
        _HANDED_OVER_FURTHER.index(document.fulfillment_status),
    )


def _contents(document: Document) -> str:
    """All of a document as text: which one is greater says nothing, only always the same."""
    return json.dumps(asdict(document), default=datetime.isoformat, sort_keys=True)
