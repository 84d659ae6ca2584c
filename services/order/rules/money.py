"""What an order or a sale comes to, and whether that is what the store says.

Amounts are in billionths of the currency's unit (nanos), so that sums are exact.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from services.order.rules.document import NANOS, Charge, ChargeKind, Money

DECIMALS_DEFAULT = 2

_WITHOUT = {
    *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"),
    *("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"),
}
_THREE = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}
_FOUR = {"CLF", "UYW"}
_DECIMALS = dict.fromkeys(_WITHOUT, 0) | dict.fromkeys(_THREE, 3) | dict.fromkeys(_FOUR, 4)

THOUSANDTHS = 1000
ROUNDING_NAME = "Rounding"


class PricedLine(Protocol):
    """What a line's worth follows from."""

    @property
    def quantity(self) -> int:
        """How many, in thousandths."""

    @property
    def unit_price(self) -> Money | None:
        """The price of one."""

    @property
    def discount(self) -> Money | None:
        """What is off the whole line."""


class Priced(Protocol):
    """What an order's or a sale's worth follows from."""

    @property
    def lines(self) -> Sequence[PricedLine]:
        """The goods."""

    @property
    def shipping_price(self) -> Money | None:
        """What shipping costs."""

    @property
    def discount(self) -> Money | None:
        """What is off the whole."""

    @property
    def charges(self) -> Sequence[Charge]:
        """What is charged beside goods and shipping."""

    @property
    def tax(self) -> Money | None:
        """Tax of the whole."""

    @property
    def prices_include_tax(self) -> bool:
        """Whether tax is in the prices."""

    @property
    def total(self) -> Money:
        """What is to be paid in all."""


@cache
def cent(currency_code: str) -> int:
    """The smallest amount that is paid in this currency, in nanos (ISO 4217)."""
    return int(NANOS // 10 ** _DECIMALS.get(currency_code, DECIMALS_DEFAULT))


def nanos(amount: Money | None) -> int:
    """An amount's nanos; absent is nothing."""
    return amount.amount_nanos if amount else 0


def line_worth(line: PricedLine) -> int:
    """What a line comes to, in nanos: its price for as many as there are, less what is off."""
    return _halved_even(nanos(line.unit_price) * line.quantity, THOUSANDTHS) - nanos(line.discount)


def worth(priced: Priced, lines: Sequence[PricedLine] | None = None) -> int:
    """What the parts come to, in nanos: goods, shipping and charges less what is off the whole,
    and tax where it is not in the prices. Charges have theirs in them always. `lines` stand in for
    those of `priced` where they are given.
    """
    charged = sum(charge.amount.amount_nanos for charge in priced.charges)
    goods = sum(map(line_worth, priced.lines if lines is None else lines))
    parts = goods + nanos(priced.shipping_price) + charged
    if not priced.prices_include_tax:
        parts += nanos(priced.tax) - sum(nanos(charge.tax) for charge in priced.charges)
    return parts - nanos(priced.discount)


@dataclass(frozen=True, slots=True)
class Balance:
    """What makes the parts of an order come to the store's total, which holds.

    Attributes:
        charges: those of the order, and what rounding explains as one more.
        difference: what is still left between the parts and the total; None when they agree.
    """

    charges: tuple[Charge, ...]
    difference: Money | None


def balance(priced: Priced, lines: Sequence[PricedLine] | None = None) -> Balance:
    """How the parts come to the total; `lines` stand in for those of `priced` where they are given.

    Every part was rounded to the cent by itself, by at most half of one: up to as much as that may
    add up to is ROUNDING, more than that is a difference that somebody should look at.
    """
    charges = tuple(priced.charges)
    currency = priced.total.currency_code
    rest = priced.total.amount_nanos - worth(priced, lines)
    if not rest:
        return Balance(charges, None)
    if 2 * abs(rest) <= cent(currency) * _parts(priced, lines or priced.lines):
        rounding = Charge(ChargeKind.ROUNDING, Money(currency, rest), ROUNDING_NAME)
        return Balance((*charges, rounding), None)
    return Balance(charges, Money(currency, rest))


def _parts(priced: Priced, lines: Sequence[PricedLine]) -> int:
    """How many of the parts may have been rounded by themselves."""
    single = (priced.shipping_price, priced.discount, priced.tax)
    discounted = sum(1 for line in lines if line.discount)
    return len(lines) + discounted + len(priced.charges) + sum(map(bool, single))


def shares(amount: Money | None, weights: Sequence[int]) -> list[Money | None]:
    """An amount divided by weights, to the cent: the shares add up to it exactly.

    What does not come out even falls where the running sum passes it.
    """
    if amount is None:
        return [None] * len(weights)
    whole, step = sum(weights) or 1, cent(amount.currency_code)
    found: list[Money | None] = []
    passed = given = 0
    for index, weight in enumerate(weights):
        passed += weight
        due = amount.amount_nanos
        if index < len(weights) - 1:
            due = _halved_even(amount.amount_nanos * passed, whole * step) * step
        found.append(Money(amount.currency_code, due - given))
        given = due
    return found


def total(amounts: Iterable[Money | None], currency_code: str) -> Money:
    """The sum of amounts of one currency; those that are absent are nothing."""
    return Money(currency_code, sum(map(nanos, amounts)))


def _halved_even(numerator: int, denominator: int) -> int:
    """A quotient as a whole number; halves go to the even one."""
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient % 2):
        quotient += 1
    return quotient
