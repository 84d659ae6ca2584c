"""What a shipping method costs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from services.chassis.errors import invalid
from services.order.rules.document import NANOS, Money
from services.order.rules.money import THOUSANDTHS, cent

PERCENT_PARTS = 10_000
"""Parts of one percent."""
_PARTS = 100 * PERCENT_PARTS


class Basis(IntEnum):
    """What a table is looked up by; numbers as in the contract (`RateTableBasis`)."""

    SUBTOTAL = 1
    DISCOUNTED_SUBTOTAL = 2
    WEIGHT = 3


@dataclass(frozen=True, slots=True)
class Rate:
    """A price; its parts are added up."""

    per_order: Money | None = None
    percent_parts: int = 0
    """Of what the goods are worth, in ten-thousandths of a percent."""
    per_item: Money | None = None
    per_kilogram: Money | None = None

    def amounts(self) -> Iterable[tuple[str, Money]]:
        """The amounts in it, by the names of their fields."""
        named = {
            "per_order": self.per_order,
            "per_item": self.per_item,
            "per_kilogram": self.per_kilogram,
        }
        return [(name, amount) for name, amount in named.items() if amount]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table, from `begin` on up to but not at `end`; None is without end.

    Both are in billionths of a unit of money or of a kilogram.
    """

    begin: int
    end: int | None
    rate: Rate


@dataclass(frozen=True, slots=True)
class Table:
    """Prices by what a cart is worth or weighs. The first row that fits holds."""

    basis: Basis
    rows: tuple[Row, ...]


Rates = Rate | Table


@dataclass(frozen=True, slots=True)
class Measures:
    """What the price of a cart's shipping follows from."""

    currency_code: str
    subtotal_nanos: int
    """What the goods are worth."""
    discount_nanos: int
    quantity: int
    """Pieces, in thousandths."""
    weight_nanos: int
    """Billionths of a kilogram."""


def price(rates: Rates | None, of: Measures) -> Money | None:
    """What shipping a cart costs, to the cent; None where the table has no price for it.

    All amounts are in the cart's currency.
    """
    if isinstance(rates, Table):
        rates = _looked_up(rates, of)
        if rates is None:
            return None
    if rates is None:
        return Money(of.currency_code, 0)
    # Everything over one denominator, so that nothing is rounded but the sum.
    parts = rates.per_order.amount_nanos * NANOS if rates.per_order else 0
    if rates.percent_parts:
        parts += of.subtotal_nanos * rates.percent_parts * NANOS // _PARTS
    if rates.per_item:
        parts += rates.per_item.amount_nanos * of.quantity * (NANOS // THOUSANDTHS)
    if rates.per_kilogram:
        parts += rates.per_kilogram.amount_nanos * of.weight_nanos
    step = cent(of.currency_code)
    return Money(of.currency_code, (2 * parts + step * NANOS) // (2 * step * NANOS) * step)


def currencies(rates: Rates | None) -> Iterator[str]:
    """The currencies of the amounts, one by one."""
    all_rates = (row.rate for row in rates.rows) if isinstance(rates, Table) else [rates]
    for rate in all_rates:
        if rate:
            for amount in (rate.per_order, rate.per_item, rate.per_kilogram):
                if amount:
                    yield amount.currency_code


def check_rates(rates: Rates | None) -> None:
    """Finds rates well formed.

    Raises:
        DomainError: INVALID_FIELD.
    """
    for field, rate in _all(rates):
        for name, amount in rate.amounts():
            if amount.amount_nanos < 0:
                raise invalid(f"{field}.{name}", "must not be negative")
    if isinstance(rates, Table):
        for index, row in enumerate(rates.rows):
            if row.end is not None and row.end <= row.begin:
                raise invalid(f"method.rate.table.rows[{index}].to", "must be above `from`")


def _all(rates: Rates | None) -> Sequence[tuple[str, Rate]]:
    """All rates with the paths of their fields."""
    if isinstance(rates, Table):
        return [
            (f"method.rate.table.rows[{index}].rate", row.rate)
            for index, row in enumerate(rates.rows)
        ]
    return [("method.rate.flat", rates)] if rates else []


def _looked_up(table: Table, of: Measures) -> Rate | None:
    value = of.subtotal_nanos
    if table.basis is Basis.DISCOUNTED_SUBTOTAL:
        value = max(0, value - of.discount_nanos)
    elif table.basis is Basis.WEIGHT:
        value = of.weight_nanos
    for row in table.rows:
        if row.begin <= value and (row.end is None or value < row.end):
            return row.rate
    return None
