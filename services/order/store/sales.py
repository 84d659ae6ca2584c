"""Sales and their payments as rows, and the statements on them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Connection

from services.chassis.plumbing import EPOCH
from services.chassis.statements import Lookup, among, append, keys
from services.order.rules.document import Charge, Discount, Money
from services.order.rules.sale import (
    NO_SALE,
    Payment,
    PaymentSum,
    Posting,
    Sale,
    SaleKey,
    SaleLine,
    SaleOrigin,
    SaleState,
    StockTake,
)
from services.order.store.nested import Nested
from services.order.store.statements import (
    Claims,
    Page,
    Shape,
    delete,
    microseconds,
    number,
    paged,
    save,
)
from services.order.store.tables import PAYMENTS, SALES, UNPOSTED

_SALE_KEY = ("merchant_id", "sale_id")
_LINES: Nested[tuple[SaleLine, ...]] = Nested(tuple[SaleLine, ...])
_DISCOUNTS: Nested[tuple[Discount, ...]] = Nested(tuple[Discount, ...])
_CHARGES: Nested[tuple[Charge, ...]] = Nested(tuple[Charge, ...])
_MONEY: Nested[Money | None] = Nested(Money | None)

_DAY_MICROSECONDS = sa.literal_column("86400000000", BigInteger)
_UNIT_NANOS = sa.literal_column("1000000000", BigInteger)

_SHAPE = Shape(SALES)
_CLAIMS = Claims(SALES, _SALE_KEY, _SHAPE)
_FOUND = (
    sa.select(*_SHAPE.columns)
    .where(among(keys(), SALES.c.merchant_id, SALES.c.sale_id))
    .order_by(SALES.c.merchant_id, SALES.c.sale_id)
)
_SALES = Lookup(_FOUND)
_LOCKED_SALES = Lookup(_FOUND.with_for_update())
_PAID = Shape(PAYMENTS)
_PAYMENTS = Lookup(
    sa.select(*_PAID.columns)
    .where(among(keys(), PAYMENTS.c.merchant_id, PAYMENTS.c.sale_id))
    .order_by(PAYMENTS.c.number)
)


def sales(
    connection: Connection, wanted: Collection[SaleKey], *, lock: bool = False
) -> dict[SaleKey, Sale]:
    """The sales with these keys that exist; locked against other processes if asked for."""
    if not wanted:
        return {}
    statement = _LOCKED_SALES if lock else _SALES
    rows = statement.rows(connection, keys=sorted(set(wanted)))
    found = _with_payments(connection, list(map(_SHAPE.row, rows)))
    return {sale.key: sale for sale in found}


def is_due(connection: Connection, now: datetime) -> bool:
    """Whether the stock of a sale is due to be taken that nobody is taking."""
    return _CLAIMS.is_due(connection, now)


def claim_sales(
    connection: Connection, now: datetime, lease_time: datetime, count: int
) -> list[Sale]:
    """Takes up to `count` sales whose stock is due to be taken, until `lease_time`."""
    rows = _CLAIMS.claim(connection, now=now, lease_time=lease_time, count=count)
    return _with_payments(connection, rows)


def save_sales(connection: Connection, saved: Sequence[Sale], known: Collection[SaleKey]) -> None:
    """Saves sales with their payments, and gives back their leases; `known` are those that
    exist.
    """
    rows = [_sale_row(sale) | {"lease_time": None} for sale in saved]
    save(connection, SALES, _SALE_KEY, rows, known)
    delete(connection, PAYMENTS, _SALE_KEY, [sale.key for sale in saved if sale.key in known])
    payments = [
        sale.key._asdict()
        | {
            "number": number,
            "method": payment.method,
            "currency_code": payment.amount.currency_code,
            "amount_nanos": payment.amount.amount_nanos,
            "pay_time": payment.pay_time,
        }
        for sale in saved
        for number, payment in enumerate(sale.payments)
    ]
    append(connection, PAYMENTS, payments)


@dataclass(frozen=True, slots=True)
class SaleFilter:
    """Which sales of a merchant; what is empty, 0 or False means all."""

    outlet_id: str = ""
    origin: int = 0
    channel_id: str = ""
    order_id: str = ""
    unposted: bool = False


def list_sales(
    connection: Connection, merchant_id: str, page: Page, only: SaleFilter
) -> list[Sale]:
    """A page of the sales history, newest first; its key is `sale_position`."""
    c = SALES.c
    query = sa.select(SALES).where(c.merchant_id == merchant_id)
    for name in ("outlet_id", "origin", "channel_id", "order_id"):
        if wanted := getattr(only, name):
            query = query.where(c[name] == wanted)
    if only.unposted:
        query = query.where(UNPOSTED)
    columns = (number(c.sale_time), c.sale_id)
    rows = connection.execute(paged(query, columns, page)).all()
    return _with_payments(connection, rows)


def sale_position(sale: Sale) -> tuple[int, str]:
    """Where a sale stands in `list_sales`."""
    return microseconds(sale.sale_time), sale.key.sale_id


def payment_sums(
    connection: Connection,
    merchant_id: str,
    page: Page,
    begin: datetime | None,
    end: datetime | None,
) -> list[PaymentSum]:
    """A page of the payments from `begin` up to but not at `end`, by day (UTC), method, outlet and
    currency; its key is `sum_position`. Those of what is no sale (yet, or any more) do not count.

    Whole units and the rest are summed apart: their sum in billionths may be too large a number.
    """
    c = PAYMENTS.c
    day = number(c.pay_time) // _DAY_MICROSECONDS
    groups = (day, c.method, SALES.c.outlet_id, c.currency_code)
    rest = c.amount_nanos % _UNIT_NANOS
    whole = (c.amount_nanos - rest) // _UNIT_NANOS
    back = c.amount_nanos < 0
    query = (
        sa.select(
            *groups,
            sa.func.sum(whole),
            sa.func.sum(rest),
            sa.func.count(),
            sa.func.sum(sa.case((back, -whole), else_=0)),
            sa.func.sum(sa.case((back, -rest), else_=0)),
        )
        .join(SALES, sa.and_(SALES.c.merchant_id == c.merchant_id, SALES.c.sale_id == c.sale_id))
        .where(c.merchant_id == merchant_id, SALES.c.state.not_in(sorted(NO_SALE)))
        .group_by(*groups)
        .order_by(*groups)
        .limit(page.count)
    )
    if begin:
        query = query.where(c.pay_time >= begin)
    if end:
        query = query.where(c.pay_time < end)
    if page.after:
        after = [
            sa.literal(value, column.type) for value, column in zip(page.after, groups, strict=True)
        ]
        query = query.where(sa.tuple_(*groups) > sa.tuple_(*after))
    return [
        PaymentSum(date.fromordinal(EPOCH.toordinal() + int(row[0])), *row[1:4], *map(int, row[4:]))
        for row in connection.execute(query)
    ]


def sum_position(found: PaymentSum) -> tuple[int, str, str, str]:
    """Where a sum stands in `payment_sums`."""
    days = found.day.toordinal() - EPOCH.toordinal()
    return days, found.method, found.outlet_id, found.currency_code


def _with_payments(connection: Connection, rows: Sequence[Any]) -> list[Sale]:
    """The sales of these rows, with their payments."""
    payments: dict[SaleKey, list[Payment]] = {}
    found = [SaleKey(row.merchant_id, row.sale_id) for row in rows]
    for row in map(_PAID.row, _PAYMENTS.rows(connection, keys=found) if found else ()):
        amount = Money(row.currency_code, row.amount_nanos)
        payment = Payment(row.method, amount, row.pay_time)
        payments.setdefault(SaleKey(row.merchant_id, row.sale_id), []).append(payment)
    return [_sale(row, tuple(payments.get(key, ()))) for key, row in zip(found, rows, strict=True)]


def _sale_row(sale: Sale) -> dict[str, Any]:
    return sale.key._asdict() | {
        "origin": int(sale.origin),
        "state": int(sale.state),
        "channel_id": sale.channel_id,
        "order_id": sale.order_id,
        "outlet_id": sale.outlet_id,
        "register_id": sale.register_id,
        "customer_id": sale.customer_id,
        "lines": _LINES.text(sale.lines),
        "total": _MONEY.text(sale.total),
        "shipping_price": _MONEY.text(sale.shipping_price),
        "discount": _MONEY.text(sale.discount),
        "tax": _MONEY.text(sale.tax),
        "prices_include_tax": sale.prices_include_tax,
        "note": sale.note,
        "sale_time": sale.sale_time,
        "revision": sale.revision,
        "mirrored": sale.mirrored,
        "version": sale.version,
        "posted_revision": sale.posting.revision,
        "post_error": sale.posting.error,
        "stock_pending": sale.stock.pending,
        "stock_error": sale.stock.error,
        "attempts": sale.stock.attempts,
        "due_time": sale.stock.due_time,
        "return_for": sale.return_for,
        "refund_id": sale.refund_id,
        "discounts": _DISCOUNTS.text(sale.discounts),
        "charges": _CHARGES.text(sale.charges),
        "shipping_tax": _MONEY.text(sale.shipping_tax),
        "difference": _MONEY.text(sale.difference),
    }


def _sale(row: Any, payments: tuple[Payment, ...]) -> Sale:
    total = _MONEY.value(row.total)
    assert total
    return Sale(
        key=SaleKey(row.merchant_id, row.sale_id),
        origin=SaleOrigin(row.origin),
        state=SaleState(row.state),
        lines=_LINES.value(row.lines),
        payments=payments,
        total=total,
        sale_time=row.sale_time,
        channel_id=row.channel_id,
        order_id=row.order_id,
        outlet_id=row.outlet_id,
        register_id=row.register_id,
        customer_id=row.customer_id,
        shipping_price=_MONEY.value(row.shipping_price),
        discount=_MONEY.value(row.discount),
        tax=_MONEY.value(row.tax),
        prices_include_tax=row.prices_include_tax,
        note=row.note,
        revision=row.revision,
        mirrored=row.mirrored,
        version=row.version,
        posting=Posting(row.posted_revision, row.post_error),
        stock=StockTake(row.stock_pending, row.stock_error, row.attempts, row.due_time),
        discounts=_DISCOUNTS.value(row.discounts),
        charges=_CHARGES.value(row.charges),
        shipping_tax=_MONEY.value(row.shipping_tax),
        difference=_MONEY.value(row.difference),
        return_for=row.return_for,
        refund_id=row.refund_id,
    )
