"""Sales: what they are, and what an online order becomes."""

from collections.abc import Iterable, Iterator
from dataclasses import field
from datetime import date, datetime
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote
from uuid import UUID, uuid5

from services.chassis.errors import DomainError, invalid
from services.chassis.values import replace, value
from services.order.rules.document import Charge, Discount, Money
from services.order.rules.money import balance, shares
from services.order.rules.order import Order
from services.order.rules.shipping import Storefront

_IDS = UUID("6f1b5f7e-3c0a-4a52-9a53-7d6a5f0c8e11")
"""Namespace of the ids that are derived here."""


class SaleOrigin(IntEnum):
    """Where a sale was made; numbers as in the contract."""

    TILL = 1
    ONLINE = 2


class SaleState(IntEnum):
    """Whether a sale is settled; numbers as in the contract."""

    OPEN = 1
    COMPLETED = 2
    PARKED = 3
    VOIDED = 4
    LAYBY = 5
    ON_ACCOUNT = 6


NO_SALE = frozenset({SaleState.PARKED, SaleState.VOIDED})
"""States in which it takes no stock and its payments do not count."""


class SaleKey(NamedTuple):
    """Whose sale it is, and which."""

    merchant_id: str
    sale_id: str


@value(frozen=True, slots=True)
class SaleLine:
    """One line of a sale. `quantity` is in thousandths; negative was returned."""

    item_id: str
    quantity: int
    unit_price: Money | None = None
    tax: Money | None = None
    name: str = ""
    discount: Money | None = None
    line_id: str = ""
    """The order's line; empty in a till's sale."""
    outlet_id: str = ""
    """The outlet that gives it or takes it back; empty means the sale's."""
    not_restocked: bool = False
    """Whether what came back stays out of stock."""


@value(frozen=True, slots=True)
class Payment:
    """One payment of a sale."""

    method: str
    amount: Money
    pay_time: datetime


@value(frozen=True, slots=True)
class Posting:
    """What the outside point of sale has of a sale."""

    revision: int = 0
    error: str = ""


@value(frozen=True, slots=True)
class StockTake:
    """Whether the stock that a sale moves by itself has still to be moved; see `rules.stock`."""

    pending: bool = False
    error: str = ""
    attempts: int = 0
    due_time: datetime | None = None


@value(frozen=True, slots=True)
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
    discounts: tuple[Discount, ...] = ()
    """What makes up `discount`, where that is told."""
    charges: tuple[Charge, ...] = ()
    shipping_tax: Money | None = None
    difference: Money | None = None
    """What is left between the parts and the total; None when they agree."""
    return_for: str = ""
    """The sale that it is a return of."""
    refund_id: str = ""
    """The order's refund that it was made for."""

    @property
    def paid(self) -> bool:
        """Whether the payments cover the total; of a return, whether all was given back.

        The payments of what is no sale (yet, or any more) do not count.
        """
        total = self.total.amount_nanos
        paid = sum(
            payment.amount.amount_nanos
            for payment in self.payments
            if payment.amount.currency_code == self.total.currency_code
            and self.state not in NO_SALE
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


@value(frozen=True, slots=True)
class Channel:
    """What an order's way depends on."""

    posting: PostingPolicy
    fulfillment: FulfillmentPolicy
    external_pos: bool
    register_id: str = ""
    outlet_id: str = ""
    """Where what is taken from no outlet counts: the register's, else the primary outlet."""
    post_sales: bool = True
    """Whether orders become sales now (ORD-09)."""
    fresh: bool = True
    """False where it is what was known last, since inventory cannot be asked."""
    storefront: Storefront = field(default_factory=Storefront)


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

    When an unpaid order is paid, its sale gets its one payment (ORD-08). Its parts come to the
    store's total, or it says by how much they do not. A sale that is void follows nothing.
    """
    assert order.document
    document = order.document
    if sale.state is SaleState.VOIDED:
        return sale
    outlet_id = _counts_at(order, sale)
    lines = tuple(_lines(order, sale, outlet_id))
    balanced = balance(document, lines)
    shipping = f", {document.shipping_method}" if document.shipping_method else ""
    followed = replace(
        sale,
        outlet_id=outlet_id,
        lines=lines,
        payments=_payments(order, sale, now),
        total=document.total,
        customer_id=order.buyer.customer_id if order.buyer else "",
        shipping_price=document.shipping_price,
        shipping_tax=document.shipping_tax,
        discount=document.discount,
        discounts=document.discounts,
        charges=balanced.charges,
        difference=balanced.difference,
        tax=document.tax,
        prices_include_tax=document.prices_include_tax,
        note=f"Online order {document.order_id}{shipping}",
    )
    return sale if followed == sale else replace(followed, revision=sale.revision + 1)


def in_point_of_sale(order: Order, sale: Sale) -> bool:
    """Whether the outside point of sale has the sale, so that its outlets stay what they are."""
    return order.pos_version is not None or sale.posting.revision > 0


def places(sale: Sale) -> list[tuple[str, str, int]]:
    """How much of which line which outlet gives, in order."""
    return sorted(
        (one.line_id, one.outlet_id or sale.outlet_id, one.quantity) for one in sale.lines
    )


def _counts_at(order: Order, sale: Sale) -> str:
    """The outlet where a sale counts: the one where it did, while that still gives some of it."""
    held = order.reservation.allocations if order.reservation else ()
    givers = [part.outlet_id for part in held]
    if not givers or sale.outlet_id in givers or in_point_of_sale(order, sale):
        return sale.outlet_id
    return givers[0]


def _given(order: Order, sale: Sale) -> dict[str, dict[str, int]]:
    """How much of each line which outlet gives: as it is held, or as the outside point of sale has
    it, which may be older (BEY-04).
    """
    held = order.reservation.allocations if order.reservation else ()
    parts = [(part.line_id, part.outlet_id, part.quantity) for part in held]
    if in_point_of_sale(order, sale):
        parts = [
            (line.line_id, line.outlet_id or sale.outlet_id, line.quantity) for line in sale.lines
        ]
    found: dict[str, dict[str, int]] = {}
    for line_id, outlet_id, quantity in parts:
        given = found.setdefault(line_id, {})
        given[outlet_id] = given.get(outlet_id, 0) + quantity
    return found


def _lines(order: Order, sale: Sale, counts_at: str) -> Iterator[SaleLine]:
    """The lines of an order as lines of its sale: one for each outlet that gives some of a line,
    with its share of what is off and of the tax. What is taken from no outlet counts at the sale's.
    """
    assert order.document
    assert order.hold
    items = order.hold.resolved.items()
    by_line = _given(order, sale)
    for line in order.document.lines:
        given = by_line.get(line.line_id) or {counts_at: line.quantity}
        quantities = list(given.values())
        parts = zip(
            given.items(),
            shares(line.discount, quantities),
            shares(line.tax, quantities),
            strict=True,
        )
        for (outlet_id, quantity), discount, tax in parts:
            yield SaleLine(
                item_id=items[line.line_id],
                quantity=quantity,
                unit_price=line.unit_price,
                tax=tax,
                name=line.name,
                discount=discount,
                line_id=line.line_id,
                outlet_id="" if outlet_id == counts_at else outlet_id,
            )


def _payments(order: Order, sale: Sale, now: datetime) -> tuple[Payment, ...]:
    """The payments that the store tells; one whose time it leaves out keeps the one it has here."""
    assert order.document
    known = sale.payments
    return tuple(
        Payment(
            made.paid_by,
            made.amount,
            made.pay_time or (known[index].pay_time if index < len(known) else now),
        )
        for index, made in enumerate(order.document.payments_made)
    )


def _outlet(order: Order, channel: Channel) -> str:
    """The outlet where an order's sale counts: the first that gives some of it."""
    assert order.document
    if order.reservation and order.reservation.allocations:
        return order.reservation.allocations[0].outlet_id
    return order.document.outlet_id or channel.outlet_id


def derived(*names: str) -> str:
    """An id that these names always give again."""
    return str(uuid5(_IDS, joined(names)))


def joined(names: Iterable[str]) -> str:
    """Names as one text, from which no others make the same."""
    return "/".join(map(_quoted, names))


@lru_cache(maxsize=4096)
def _quoted(name: str) -> str:
    return quote(name, safe="")  # kept, since an order's few names are in many ids


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


@value(frozen=True, slots=True)
class PaymentSum:
    """Payments of one day by one method at one outlet in one currency."""

    day: date
    method: str
    outlet_id: str
    currency_code: str
    units: int
    nanos: int
    count: int
    refunded_units: int = 0
    """What was given back, as a positive number; it is off `units` and `nanos` already."""
    refunded_nanos: int = 0


def sale_not_found(sale_id: str) -> DomainError:
    """There is no such sale."""
    return DomainError("SALE_NOT_FOUND", f"there is no sale {sale_id!r}", sale_id=sale_id)
