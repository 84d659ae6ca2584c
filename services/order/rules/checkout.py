"""What a buyer may choose at checkout, and of the rest why not and what would help."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

from services.chassis.errors import DomainError, invalid
from services.order.rules.document import Address, FulfillmentKind, Money
from services.order.rules.money import cent
from services.order.rules.pickup import Schedule
from services.order.rules.rates import Measures, price
from services.order.rules.shipping import Method
from services.order.rules.zones import Reach, destination

THOUSANDTHS = 1000


class Reason(IntEnum):
    """Why a method may not be chosen; numbers as in the contract (`UnavailableReason`)."""

    DISABLED = 1
    ADDRESS = 2
    MINIMUM_SUBTOTAL = 3
    NO_RATE = 4
    CLOSED = 5
    SHORT_STOCK = 6


class CartLine(NamedTuple):
    """One line of a cart, whose item is known. `quantity` is in thousandths."""

    item_id: str
    name: str
    """What the caller called it: the SKU, else the item's id."""
    quantity: int
    unit_price: Money
    weight: int = 0
    """Of one, in millionths of a kilogram."""


@dataclass(frozen=True, slots=True)
class Cart:
    """What somebody wants to buy, in one currency."""

    lines: tuple[CartLine, ...]
    address: Address | None = None
    discount: Money | None = None

    def measures(self) -> Measures:
        """What the price of its shipping follows from."""
        worth = pieces = weight = 0
        for line in self.lines:
            quantity = line.quantity
            worth += line.unit_price.amount_nanos * quantity
            pieces += quantity
            weight += line.weight * quantity
        return Measures(
            self.lines[0].unit_price.currency_code,
            worth // THOUSANDTHS,
            self.discount.amount_nanos if self.discount else 0,
            pieces,
            weight,  # millionths of thousandths: billionths
        )

    def asked(self) -> dict[str, int]:
        """How much of each item, all lines together."""
        found: dict[str, int] = {}
        for line in self.lines:
            found[line.item_id] = found.get(line.item_id, 0) + line.quantity
        return found


@dataclass(frozen=True, slots=True)
class Stock:
    """What outlets could give right now, as inventory says."""

    outlets: Mapping[str, Mapping[str, int]]
    """By outlet and item; the connected ones first, in the channel's order."""
    connected: Collection[str]
    untracked: Collection[str]
    default_outlet_id: str
    read_time: datetime


class Option(NamedTuple):
    """A method that may be chosen."""

    method: Method
    outlet_id: str
    price: Money
    ready_time: datetime


@dataclass(frozen=True, slots=True)
class Short:
    """An item of which there is too little."""

    item_id: str
    asked: int
    available: int


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A method that may not be chosen, why, and what would help, in words for the buyer."""

    method: Method
    outlet_id: str
    reason: Reason
    message: str
    help: str = ""
    short: Sequence[Short] = ()
    outlets_with_all: Sequence[str] = ()
    methods_instead: Sequence[str] = ()


@dataclass(slots=True)
class Quote:
    """What may be chosen (SHP-06), and what may not (SHP-03)."""

    options: list[Option] = field(default_factory=list)
    unavailable: list[Unavailable] = field(default_factory=list)


def check_cart(cart: Cart) -> None:
    """Finds a cart's amounts in one currency and none below zero.

    Raises:
        DomainError: INVALID_FIELD.
    """
    currency = cart.lines[0].unit_price.currency_code
    for index, line in enumerate(cart.lines):
        amount = line.unit_price
        if amount.currency_code != currency or amount.amount_nanos < 0:
            raise _not_in(currency, f"lines[{index}].unit_price", amount)
    discount = cart.discount
    if discount and (discount.currency_code != currency or discount.amount_nanos < 0):
        raise _not_in(currency, "discount", discount)


def _not_in(currency: str, field: str, amount: Money) -> DomainError:
    if amount.currency_code != currency:
        message = f"is in {amount.currency_code}, but the first line's price in {currency}"
        return invalid(field, message)
    return invalid(field, "must not be negative")


def no_item(field: str, sku: str, reason: str) -> DomainError:
    """That a SKU in a cart is no item's, or several items'."""
    what = "several items carry" if reason == "SKU_AMBIGUOUS" else "the catalog has no item with"
    return DomainError(reason, f"{what} the SKU {sku!r}; name the item", field=field, sku=sku)


class Offer:
    """A method, ready to be asked about often: what follows from it alone is found out once."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.reach = Reach(method.terms.zones)
        self.schedule = Schedule(method.terms.opening)
        self.currency_code = method.terms.currency_code


def quote(
    cart: Cart,
    offers: Iterable[Offer],
    stock: Stock,
    restricted: Collection[FulfillmentKind],
    now: datetime,
) -> Quote:
    """Which methods may be chosen for a cart, and of the others why not.

    Args:
        cart: a checked one.
        offers: the channel's methods, by position.
        stock: of the cart's items.
        restricted: the kinds of methods behind which one outlet must have all of the cart
            (SHP-03); behind the others the connected ones must have it together (SHP-04).
        now: when the buyer asks.
    """
    desk = _Desk(cart, stock, restricted, now)
    found = Quote()
    for offer in offers:
        answer = desk.answer(offer)
        if isinstance(answer, Option):
            found.options.append(answer)
        else:
            found.unavailable.append(answer)
    found.unavailable = [
        desk.with_help(one, found.options) if one.short else one for one in found.unavailable
    ]
    return found


class _Desk:
    """One cart, being asked about."""

    def __init__(
        self,
        cart: Cart,
        stock: Stock,
        restricted: Collection[FulfillmentKind],
        now: datetime,
    ) -> None:
        self._cart, self._stock, self._restricted, self._now = cart, stock, restricted, now
        self._place = destination(cart.address) if cart.address else None
        self._measures = cart.measures()
        self._asked = [
            (item_id, quantity)
            for item_id, quantity in cart.asked().items()
            if item_id not in stock.untracked
        ]
        self._shorts: dict[str | None, Sequence[Short]] = {}

    def answer(self, offer: Offer) -> Option | Unavailable:
        """Whether the method may be chosen; of several reasons why not, the first."""
        method = offer.method
        outlet_id = method.outlet_id or self._stock.default_outlet_id
        refusal = self._refusal(offer)
        if refusal:
            return Unavailable(method, outlet_id, *refusal)
        cost = price(method.terms.rates, self._measures)
        ready = offer.schedule.ready_time(self._now)
        if cost is None:
            message = f"{method.name} has no price for an order of this size or weight."
            return Unavailable(method, outlet_id, Reason.NO_RATE, message)
        if ready is None:
            message = f"{method.name} is closed for the next year."
            return Unavailable(method, outlet_id, Reason.CLOSED, message)
        if short := self._short(method.kind, outlet_id):
            return Unavailable(method, outlet_id, Reason.SHORT_STOCK, "", short=short)
        return Option(method, outlet_id, cost, ready)

    def _refusal(self, offer: Offer) -> tuple[Reason, str, str] | None:
        """Why a method is not for this address or this cart at all, and what would help."""
        name = offer.method.name
        if not offer.method.enabled:
            return Reason.DISABLED, f"{name} is not offered at the moment.", ""
        if not offer.reach.has(self._place):
            return (
                Reason.ADDRESS,
                f"{name} does not go to this address.",
                "Take another address, or another way to get your order.",
            )
        currency, minimum = self._measures.currency_code, offer.method.terms.minimum_subtotal
        if offer.currency_code and offer.currency_code != currency:
            message = f"{name} is priced in {offer.currency_code}, and the cart in {currency}."
            return Reason.NO_RATE, message, ""
        missing = minimum.amount_nanos - self._measures.subtotal_nanos if minimum else 0
        if minimum and missing > 0:
            return (
                Reason.MINIMUM_SUBTOTAL,
                f"{name} is for orders of {_text(minimum)} or more.",
                f"Add goods for {_text(Money(currency, missing))}.",
            )
        return None

    def with_help(self, found: Unavailable, options: Sequence[Option]) -> Unavailable:
        """What would help where stock is short: another method of the kind, or fewer goods."""
        kind, name = found.method.kind, found.method.name
        instead = [one.method for one in options if one.method.kind is kind]
        whole = [
            outlet_id
            for outlet_id in self._stock.outlets
            if outlet_id in self._stock.connected and not self._short_at(outlet_id)
        ]
        names = {line.item_id: line.name for line in self._cart.lines}
        lacks = _listed(
            f"{names[one.item_id]} ({_number(one.asked)} in the cart,"
            f" {_number(one.available) if one.available else 'none'} left)"
            for one in found.short
        )
        message = f"There is too little in stock for {name}: {lacks}."
        ways = []
        if instead:
            ways.append(f"choose {_listed((one.name for one in instead), 'or')} instead")
        less = _listed(
            f"{_number(one.asked - one.available)} x {names[one.item_id]}" for one in found.short
        )
        ways.append(f"take {less} out of the cart")
        help_ = ", or ".join(ways)
        return Unavailable(
            found.method,
            found.outlet_id,
            found.reason,
            message,
            f"{help_[0].upper()}{help_[1:]}.",
            found.short,
            whole,
            [one.key.method_id for one in instead],
        )

    def _short(self, kind: FulfillmentKind, outlet_id: str) -> Sequence[Short]:
        """What is missing behind a method of this kind."""
        return self._short_at(outlet_id if kind in self._restricted else None)

    def _short_at(self, outlet_id: str | None) -> Sequence[Short]:
        """What is missing at an outlet, or at all connected ones together where it is None."""
        known = self._shorts.get(outlet_id)
        if known is None:
            outlets = self._stock.outlets
            places = (
                [outlets[one] for one in outlets if one in self._stock.connected]
                if outlet_id is None
                else [outlets.get(outlet_id, {})]
            )
            known = self._shorts[outlet_id] = list(_lacking(self._asked, places))
        return known


def _lacking(
    asked: Iterable[tuple[str, int]], places: Sequence[Mapping[str, int]]
) -> Iterator[Short]:
    """What these outlets have too little of, all together."""
    for item_id, quantity in asked:
        there = 0
        for place in places:
            there += place.get(item_id, 0)
        if there < quantity:
            yield Short(item_id, quantity, there)


def _listed(parts: Iterable[str], word: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = parts
    return f"{', '.join(first)} {word} {last}" if first else last


def _number(quantity: int) -> str:
    whole, rest = divmod(quantity, THOUSANDTHS)
    return f"{whole}.{rest:03}".rstrip("0").rstrip(".")


def _text(amount: Money) -> str:
    """An amount for people, such as `49.00 EUR`."""
    step = cent(amount.currency_code)
    decimals = len(str(1_000_000_000 // step)) - 1
    cents = -(-amount.amount_nanos // step)
    whole, rest = divmod(cents, 10**decimals)
    shown = f"{whole}.{rest:0{decimals}}" if decimals else str(whole)
    return f"{shown} {amount.currency_code}"
