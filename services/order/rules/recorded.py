"""What a till's sale, or one of an outside point of sale, becomes here (ORD-05)."""

from dataclasses import replace
from datetime import UTC, datetime

from services.chassis.errors import DomainError, invalid
from services.order.rules.sale import NO_SALE, Sale, SaleOrigin, SaleState, StockTake

UNTOLD = datetime.min.replace(tzinfo=UTC)
"""A time that the caller of RecordSale left out."""

_TOLD = (
    "outlet_id",
    "register_id",
    "customer_id",
    "state",
    "lines",
    "payments",
    "total",
    "shipping_price",
    "shipping_tax",
    "discount",
    "discounts",
    "charges",
    "tax",
    "prices_include_tax",
    "note",
    "sale_time",
    "return_for",
)
"""What a caller of RecordSale tells."""

_MAY_CHANGE = frozenset({"state", "payments", "note", "customer_id", "register_id", "sale_time"})
"""What may become different of a till's sale whose stock is taken: nothing that says what was sold,
for how much, and where.
"""

_NEXT = {
    SaleState.PARKED: frozenset(SaleState),
    SaleState.OPEN: frozenset({SaleState.OPEN, SaleState.COMPLETED, SaleState.VOIDED}),
    SaleState.LAYBY: frozenset({SaleState.LAYBY, SaleState.COMPLETED, SaleState.VOIDED}),
    SaleState.ON_ACCOUNT: frozenset({SaleState.ON_ACCOUNT, SaleState.COMPLETED, SaleState.VOIDED}),
    SaleState.COMPLETED: frozenset({SaleState.VOIDED}),
    SaleState.VOIDED: frozenset[SaleState](),
}
"""Which state may follow on which, where the tills speak to us directly."""


def record(told: Sale, known: Sale | None, now: datetime) -> Sale | None:
    """What a till's or an outside point of sale's sale becomes; None when it changes nothing.

    The outside point of sale is the system of record: what it has changed is followed, unless it is
    older than what is known. A sale that we wrote there ourselves comes back as an echo and
    changes nothing. It never becomes an order (ORD-05). Its revision grows when it is different.

    A till's own sale may be put aside and taken up again, be paid bit by bit, and be voided, which
    is final; its stock is taken when it becomes a sale, and given back when it is voided, once.

    Raises:
        DomainError: SALE_EXISTS; INVALID_FIELD when stock is to be taken and no outlet is named.
    """
    sale = _timed(told, known, now)
    if known is None:
        return sale if sale.mirrored else _taking_stock(sale, now)
    if is_echo(sale, known) or (sale.mirrored and sale.version < known.version):
        return None
    updated = replace(known, **{name: getattr(sale, name) for name in _TOLD})
    if updated == known:
        newer = known.mirrored and sale.version > known.version
        return replace(known, version=sale.version) if newer else None
    if sale.mirrored and known.mirrored:
        return replace(updated, version=sale.version, revision=known.revision + 1)
    if SaleState.VOIDED is sale.state is known.state:
        return None
    if sale.mirrored or known.mirrored or known.origin is SaleOrigin.ONLINE:
        raise _exists(sale, "is another one's: one of an online order or of the outside system")
    return replace(_further(updated, known, now), revision=known.revision + 1)


def is_echo(told: Sale, known: Sale) -> bool:
    """Whether the outside point of sale tells of a sale that was posted there from here."""
    return told.mirrored and known.origin is SaleOrigin.ONLINE


def _further(sale: Sale, known: Sale, now: datetime) -> Sale:
    """A till's own sale, further in its life.

    Raises:
        DomainError: SALE_EXISTS when it has no such way.
    """
    if sale.state not in _NEXT[known.state]:
        raise _exists(
            sale, f"is {known.state.name} and does not become {sale.state.name} or other than it is"
        )
    if known.state is SaleState.PARKED:
        return _taking_stock(sale, now)
    if sale.state is SaleState.VOIDED:
        # Whatever else is told, what was taken comes back, and nothing else.
        return replace(known, state=SaleState.VOIDED, stock=StockTake(pending=True, due_time=now))
    changed = {name for name in _TOLD if getattr(sale, name) != getattr(known, name)}
    if changed - _MAY_CHANGE:
        raise _exists(sale, f"has other contents ({', '.join(sorted(changed - _MAY_CHANGE))})")
    # The movement of its stock is dated by it, and may be under way.
    return replace(sale, sale_time=known.sale_time)


def _exists(sale: Sale, why: str) -> DomainError:
    sale_id = sale.key.sale_id
    return DomainError(
        "SALE_EXISTS",
        f"sale {sale_id!r} exists and {why}; use a new id for a new sale",
        field="sale.sale_id",
        sale_id=sale_id,
    )


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
    if sale.state in NO_SALE:
        return sale
    if not sale.outlet_id and not all(line.outlet_id for line in sale.lines):
        raise invalid("sale.outlet_id", "name the outlet whose stock is taken")
    return replace(sale, stock=StockTake(pending=True, due_time=now))
