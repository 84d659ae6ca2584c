"""An order as the store has it, and which of two documents holds."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

NANOS = 1_000_000_000


class PaymentStatus(IntEnum):
    """How far the store says that an order is paid; numbers as in the contract."""

    AWAITING = 1
    PAID = 2
    CANCELED = 3
    REFUNDED = 4


class FulfillmentKind(IntEnum):
    """How an order reaches its buyer; numbers as in the contract."""

    UNSPECIFIED = 0
    SHIPPING = 1
    DELIVERY = 2
    PICKUP = 3


_FURTHER = (
    PaymentStatus.AWAITING,
    PaymentStatus.PAID,
    PaymentStatus.REFUNDED,
    PaymentStatus.CANCELED,
)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in billionths of its currency's unit."""

    currency_code: str
    amount_nanos: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order. `quantity` is in thousandths."""

    line_id: str
    item_id: str
    sku: str
    name: str
    quantity: int
    unit_price: Money | None = None
    tax: Money | None = None


@dataclass(frozen=True, slots=True)
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

    @property
    def canceled(self) -> bool:
        """Whether the store has canceled it."""
        return self.payment_status is PaymentStatus.CANCELED

    @property
    def paid(self) -> bool:
        """Whether it was paid: the store's status decides, whatever the method (ORD-07).

        What was refunded was paid before; the refund itself is no matter of this rule.
        """
        return self.payment_status in {PaymentStatus.PAID, PaymentStatus.REFUNDED}

    @property
    def paid_by(self) -> str:
        """The integrated processor's name, else the method's (ORD-06)."""
        return self.payment_processor or self.payment_method or "Online payment"

    @property
    def address(self) -> str:
        """The buyer's e-mail address as addresses are compared: case and space do not matter."""
        return self.email.strip().casefold()


def newer(document: Document, known: Document | None) -> bool:
    """Whether `document` holds against the known one (ORD-11).

    The store's version decides. Where it is the same (a store counts in seconds) the payment that
    got further does, so that the order in which documents arrive never matters (BEY-08).
    """
    if known is None:
        return True
    return _rank(document) > _rank(known)


def _rank(document: Document) -> tuple[int, int]:
    return document.version, _FURTHER.index(document.payment_status)
