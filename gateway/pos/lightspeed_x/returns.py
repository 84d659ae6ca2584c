"""What goes back to several outlets at once: one return in X-Series for each of them.

The platform puts what is returned back at the outlet of the return's register. So a return sale
whose goods go to several outlets is written as several, whose totals and payments come to its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from gateway.pos import SaleToPost
from gateway.pos.lightspeed_x.posting import SOURCE, derived_id, moves_stock
from gateway.records import Record, amount, money, text
from tillbridge.order.v1 import order_pb2

_ZERO = Decimal(0)
_OF_THE_WHOLE: Final = (
    "charges",
    "discount",
    "discounts",
    "payments",
    "shipping_price",
    "shipping_tax",
    "difference",
)
"""What a return has once: its first part keeps it."""


def by_outlet(posting: SaleToPost) -> list[SaleToPost]:
    """The sales that a sale is written as: itself, but for a return that goes to several outlets.

    Of such a one, the part of its own outlet (or else the first one's) has its id, its charges, and
    what is left of its money; each other part gives back what its goods are worth, as far as the
    money goes, and says so if that is less.
    """
    sale = posting.sale
    outlets = _outlets(sale) if sale.return_for else []
    if not outlets:
        return [posting]
    whole = order_pb2.Sale()
    whole.CopyFrom(sale)
    whole.outlet_id = outlets[0]
    parts = [_taken_out(whole, sale, outlet_id) for outlet_id in outlets[1:]]
    return [
        replace(posting, sale=whole),
        *(
            replace(posting, sale=part, order_id=_source_id(posting.order_id, part, sale.sale_id))
            for part in parts
        ),
    ]


def is_part(row: Record) -> bool:
    """Whether a sale of the platform is a part that was written here of a return."""
    if text(row, "source") != SOURCE:
        return False
    _, *names = text(row, "source_id").rsplit("/", 2)
    return len(names) == 2 and text(row, "id") == _part_id(names[1], names[0])


def _outlets(sale: order_pb2.Sale) -> list[str]:
    """Where goods of a return go back to; its own outlet comes first."""
    found = {line.outlet_id or sale.outlet_id for line in sale.lines if moves_stock(line)}
    return sorted(found, key=lambda outlet_id: (outlet_id != sale.outlet_id, outlet_id))


def _taken_out(whole: order_pb2.Sale, sale: order_pb2.Sale, outlet_id: str) -> order_pb2.Sale:
    """The part of an outlet, which is taken out of the whole."""
    currency = sale.total.currency_code
    goes = [line for line in sale.lines if _goes_to(line, sale, outlet_id)]
    stays = [line for line in whole.lines if not _goes_to(line, sale, outlet_id)]
    worth = sum((_worth(line, sale) for line in goes), _ZERO)
    total = max(worth, min(_ZERO, amount(whole.total)))
    tax = sum((amount(line.tax) for line in goes), _ZERO)
    part = order_pb2.Sale()
    part.CopyFrom(sale)
    part.sale_id, part.outlet_id = _part_id(sale.sale_id, outlet_id), outlet_id
    for name in _OF_THE_WHOLE:
        part.ClearField(name)
    _set_lines(part, goes)
    _set_lines(whole, stays)
    part.payments.extend(_taken_payments(whole, total))
    for one, gets in ((part, total), (whole, amount(whole.total) - total)):
        one.total.CopyFrom(money(gets, currency))
    if sale.HasField("tax"):
        part.tax.CopyFrom(money(tax, currency))
        whole.tax.CopyFrom(money(amount(whole.tax) - tax, currency))
    if kept_back := total - worth:
        for one, apart in ((part, kept_back), (whole, -kept_back)):
            one.charges.add(
                kind=order_pb2.CHARGE_KIND_REFUND,
                name="Not given back",
                amount=money(apart, currency),
            )
    return part


def _goes_to(line: order_pb2.SaleLine, sale: order_pb2.Sale, outlet_id: str) -> bool:
    return moves_stock(line) and (line.outlet_id or sale.outlet_id) == outlet_id


def _set_lines(sale: order_pb2.Sale, lines: Sequence[order_pb2.SaleLine]) -> None:
    copies = [order_pb2.SaleLine.FromString(line.SerializeToString()) for line in lines]
    del sale.lines[:]
    sale.lines.extend(copies)


def _worth(line: order_pb2.SaleLine, sale: order_pb2.Sale) -> Decimal:
    """What a line is worth with its tax; below zero, since it came back."""
    goods = amount(line.unit_price) * Decimal(line.quantity) - amount(line.discount)
    return goods if sale.prices_include_tax else goods + amount(line.tax)


def _taken_payments(whole: order_pb2.Sale, wanted: Decimal) -> Iterator[order_pb2.SalePayment]:
    """Payments of so much, below zero, which are taken off those of the whole."""
    currency = whole.total.currency_code
    for payment in whole.payments:
        given = max(wanted, min(_ZERO, amount(payment.amount)))
        if given:
            taken = order_pb2.SalePayment()
            taken.CopyFrom(payment)
            taken.amount.CopyFrom(money(given, currency))
            payment.amount.CopyFrom(money(amount(payment.amount) - given, currency))
            wanted -= given
            yield taken
    left = [payment for payment in whole.payments if amount(payment.amount)]
    del whole.payments[:]
    whole.payments.extend(left)


def _part_id(sale_id: str, outlet_id: str) -> str:
    return derived_id(sale_id, f"outlet/{outlet_id}")


def _source_id(order_id: str, part: order_pb2.Sale, sale_id: str) -> str:
    """Names order, outlet and return, so that a part is known again when it is read."""
    return f"{order_id}/{part.outlet_id}/{sale_id}"
