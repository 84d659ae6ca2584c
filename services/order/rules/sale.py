"""Sales: what an online order becomes, and what a till reports."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from typing import NamedTuple
from urllib.parse import quote
from uuid import UUID, uuid5

from services.chassis.errors import DomainError, invalid
from services.order.rules.document import Money
from services.order.rules.order import WAYS_OUT, Order, pause_seconds

_IDS = UUID("6f1b5f7e-3c0a-4a52-9a53-7d6a5f0c8e11")
"""Namespace of the ids that are derived here."""

UNTOLD = datetime.min.replace(tzinfo=UTC)
"""A time that the caller of RecordSale left out."""


class SaleOrigin(IntEnum):
    """Where a sale was made; numbers as in the contract."""

    TILL = 1
    ONLINE = 2


class SaleState(IntEnum):
    """Whether a sale is settled; numbers as in the contract."""

    OPEN = 1
    COMPLETED = 2


class SaleKey(NamedTuple):
    """Whose sale it is, and which."""

    merchant_id: str
    sale_id: str


@dataclass(frozen=True, slots=True)
class SaleLine:
    """One line of a sale. `quantity` is in thousandths; negative was returned."""

    item_id: str
    quantity: int
    unit_price: Money | None = None
    tax: Money | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment of a sale."""

    method: str
    amount: Money
    pay_time: datetime


@dataclass(frozen=True, slots=True)
class Posting:
    """What the outside point of sale has of a sale."""

    revision: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class StockTake:
    """How far the stock of a till's sale is taken."""

    pending: bool = False
    error: str = ""
    attempts: int = 0
    due_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale in the sales history."""

    key: SaleKey
    origin: SaleOrigin
    state: SaleState
    lines: tuple[SaleLine, ...]
    payments: tuple[Payment, ...]
    total: Money
    sale_time: datetime
    channel_id: str = ""
    order_id: str = ""
    outlet_id: str = ""
    register_id: str = ""
    customer_id: str = ""
    shipping_price: Money | None = None
    discount: Money | None = None
    tax: Money | None = None
    prices_include_tax: bool = False
    note: str = ""
    revision: int = 1
    mirrored: bool = False
    """Whether it is copied from an outside point of sale."""
    version: int = 0
    """Version of a mirrored sale there."""
    posting: Posting = Posting()
    stock: StockTake = StockTake()

    @property
    def paid(self) -> bool:
        """Whether the payments cover the total; of a return, whether all was given back."""
        total = self.total.amount_nanos
        paid = sum(
            payment.amount.amount_nanos
            for payment in self.payments
            if payment.amount.currency_code == self.total.currency_code
        )
        return paid >= total if total >= 0 else paid <= total


class PostingPolicy(IntEnum):
    """Which orders become sales, and when; numbers as in inventory's contract."""

    ON_PLACEMENT = 1
    ON_PAYMENT = 2


class FulfillmentPolicy(IntEnum):
    """Where an order's fulfillment is managed; numbers as in inventory's contract."""

    POS = 1
    ECOM = 2


@dataclass(frozen=True, slots=True)
class Channel:
    """What an order's way depends on."""

    posting: PostingPolicy
    fulfillment: FulfillmentPolicy
    external_pos: bool
    register_id: str = ""
    outlet_id: str = ""
    """Where what is taken from no outlet counts: the register's, else the primary outlet."""


def post(order: Order, channel: Channel, now: datetime) -> Sale:
    """The sale that an order becomes: a first revision, under an id that a repeat gives again.

    Where fulfillment is managed in the point of sale it is open until that is done (ORD-01), else
    it is complete at once (ORD-04).
    """
    assert order.document
    document = order.document
    open_sale = channel.fulfillment is FulfillmentPolicy.POS
    sale = Sale(
        key=SaleKey(order.key.merchant_id, derived(*order.key)),
        origin=SaleOrigin.ONLINE,
        state=SaleState.OPEN if open_sale else SaleState.COMPLETED,
        lines=(),
        payments=(),
        total=document.total,
        sale_time=document.place_time or order.create_time,
        channel_id=order.key.channel_id,
        order_id=order.key.order_id,
        outlet_id=_outlet(order, channel),
        register_id=channel.register_id,
        revision=0,
    )
    return follow(order, sale, now)


def follow(order: Order, sale: Sale, now: datetime) -> Sale:
    """The sale as the order's document has it now; the same object when nothing is different.

    When an unpaid order is paid, its sale gets its one payment (ORD-08).
    """
    assert order.document
    assert order.hold
    document = order.document
    items = order.hold.resolved.items()
    shipping = f", {document.shipping_method}" if document.shipping_method else ""
    followed = replace(
        sale,
        lines=tuple(
            SaleLine(items[line.line_id], line.quantity, line.unit_price, line.tax, line.name)
            for line in document.lines
        ),
        payments=_payments(order, sale, now),
        total=document.total,
        customer_id=order.buyer.customer_id if order.buyer else "",
        shipping_price=document.shipping_price,
        discount=document.discount,
        tax=document.tax,
        prices_include_tax=document.prices_include_tax,
        note=f"Online order {document.order_id}{shipping}",
    )
    return sale if followed == sale else replace(followed, revision=sale.revision + 1)


def _payments(order: Order, sale: Sale, now: datetime) -> tuple[Payment, ...]:
    document = order.document
    assert document
    if not document.paid or not document.total.amount_nanos:
        return ()
    pay_time = sale.payments[0].pay_time if sale.payments else now
    return (Payment(document.paid_by, document.total, pay_time),)


def _outlet(order: Order, channel: Channel) -> str:
    """The outlet where an order's sale counts: the first that gives some of it."""
    assert order.document
    if order.reservation and order.reservation.allocations:
        return order.reservation.allocations[0].outlet_id
    return order.document.outlet_id or channel.outlet_id


def derived(*names: str) -> str:
    """An id that these names always give again."""
    return str(uuid5(_IDS, "/".join(quote(name, safe="") for name in names)))


def posted(sale: Sale, revision: int, error: str) -> Sale:
    """The sale after the outside point of sale took this revision, or did not.

    Reports may come late or again: an older one never hides what a newer one said.

    Raises:
        DomainError: INVALID_FIELD when the sale has no such revision yet.
    """
    if revision > sale.revision:
        raise invalid("revision", f"the sale is at revision {sale.revision}")
    done = sale.posting.revision
    if revision < done or (revision == done and error):
        return sale
    if error:
        return replace(sale, posting=Posting(done, error))
    return replace(sale, posting=Posting(revision))


def record(told: Sale, known: Sale | None, now: datetime) -> Sale | None:
    """What a till's or an outside point of sale's sale becomes; None when it changes nothing.

    The outside point of sale is the system of record: what it has changed is followed, unless it is
    older than what is known. A sale that we wrote there ourselves comes back as an echo and
    changes nothing. It never becomes an order (ORD-05). Its revision grows when it is different.

    Raises:
        DomainError: SALE_EXISTS; INVALID_FIELD when stock is to be taken and no outlet is named.
    """
    sale = _timed(told, known, now)
    if known is None:
        return sale if sale.mirrored else _taking_stock(sale, now)
    if sale.mirrored and (known.origin is SaleOrigin.ONLINE or sale.version < known.version):
        return None
    updated = replace(known, **{name: getattr(sale, name) for name in _TOLD})
    if updated == known:
        newer = known.mirrored and sale.version > known.version
        return replace(known, version=sale.version) if newer else None
    if not (sale.mirrored and known.mirrored):
        raise DomainError(
            "SALE_EXISTS",
            f"sale {sale.key.sale_id!r} exists with other contents; use a new id for a new sale",
            field="sale.sale_id",
            sale_id=sale.key.sale_id,
        )
    return replace(updated, version=sale.version, revision=known.revision + 1)


_TOLD = (
    "outlet_id",
    "register_id",
    "customer_id",
    "state",
    "lines",
    "payments",
    "total",
    "shipping_price",
    "discount",
    "tax",
    "prices_include_tax",
    "note",
    "sale_time",
)
"""What a caller of RecordSale tells."""


def _timed(sale: Sale, known: Sale | None, now: datetime) -> Sale:
    """The sale with the times that were left out: those that are known, else now."""
    before = known.payments if known else ()
    payments = tuple(
        payment
        if payment.pay_time != UNTOLD
        else replace(payment, pay_time=before[index].pay_time if index < len(before) else now)
        for index, payment in enumerate(sale.payments)
    )
    sale_time = sale.sale_time
    if sale_time == UNTOLD:
        sale_time = known.sale_time if known else now
    return replace(sale, payments=payments, sale_time=sale_time)


def _taking_stock(sale: Sale, now: datetime) -> Sale:
    if not sale.outlet_id:
        raise invalid("sale.outlet_id", "name the outlet whose stock is taken")
    return replace(sale, stock=StockTake(pending=True, due_time=now))


class StockChange(NamedTuple):
    """What a till's sale does to its outlet's stock, in one kind of movement."""

    returned: bool
    lines: Sequence[tuple[str, int]]
    """Item and change in thousandths; negative takes away."""


def stock_changes(sale: Sale) -> list[StockChange]:
    """What a till's sale takes, and what it gives back."""
    sold = [(line.item_id, -line.quantity) for line in sale.lines if line.quantity > 0]
    returned = [(line.item_id, -line.quantity) for line in sale.lines if line.quantity < 0]
    changes = [StockChange(False, sold), StockChange(True, returned)]
    return [change for change in changes if change.lines]


def taken(sale: Sale) -> Sale:
    """The sale when its stock is taken."""
    return replace(sale, stock=StockTake())


def not_taken(sale: Sale, error: DomainError, now: datetime) -> Sale:
    """The sale when its stock could not be taken: tried again by itself."""
    attempts = sale.stock.attempts + 1
    pause = timedelta(seconds=pause_seconds(attempts, transient=error.transient))
    message = f"{error.reason}: {error.message}"
    if way_out := WAYS_OUT.get(error.reason):
        message = f"{message}; {way_out}"
    return replace(sale, stock=StockTake(True, message, attempts, now + pause))


@dataclass(frozen=True, slots=True)
class PaymentSum:
    """Payments of one day by one method at one outlet in one currency."""

    day: date
    method: str
    outlet_id: str
    currency_code: str
    units: int
    nanos: int
    count: int


def sale_not_found(sale_id: str) -> DomainError:
    """There is no such sale."""
    return DomainError("SALE_NOT_FOUND", f"there is no sale {sale_id!r}", sale_id=sale_id)
