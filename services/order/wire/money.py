"""Discounts and charges as messages."""

from collections.abc import Iterable, Sequence

from google.type.money_pb2 import Money as MoneyMessage

from services.chassis.errors import invalid
from services.order.rules.document import Charge, ChargeKind, Discount, DiscountKind, Money
from services.order.wire.scalars import money, money_message, optional_money
from tillbridge.order.v1 import order_pb2 as pb

_SIGNED = frozenset({ChargeKind.ROUNDING, ChargeKind.REFUND})
"""Kinds of charges that may be below zero."""


def discounts(messages: Iterable[pb.Discount], field: str) -> tuple[Discount, ...]:
    """What is taken off.

    Raises:
        DomainError: INVALID_FIELD.
    """
    return tuple(
        Discount(
            DiscountKind(message.kind),
            above_zero(message.amount, f"{field}[{index}].amount"),
            message.name,
            message.code,
        )
        for index, message in enumerate(messages)
    )


def charges(messages: Iterable[pb.Charge], field: str) -> tuple[Charge, ...]:
    """What is charged beside goods and shipping.

    Raises:
        DomainError: INVALID_FIELD.
    """
    return tuple(_charge(message, f"{field}[{index}]") for index, message in enumerate(messages))


def _charge(message: pb.Charge, field: str) -> Charge:
    kind = ChargeKind(message.kind)
    amount = money(message.amount, f"{field}.amount")
    if amount.amount_nanos < 0 and kind not in _SIGNED:
        raise invalid(f"{field}.amount", "must not be below zero; a discount takes something off")
    return Charge(kind, amount, message.name, optional_money(message, "tax", f"{field}.tax"))


def above_zero(message: MoneyMessage, field: str) -> Money:
    """An amount above zero.

    Raises:
        DomainError: INVALID_FIELD.
    """
    amount = money(message, field)
    if amount.amount_nanos <= 0:
        raise invalid(field, "must be above zero")
    return amount


def discount_messages(found: Sequence[Discount]) -> list[pb.Discount]:
    """What is taken off, as messages."""
    return [
        pb.Discount(
            kind=pb.DiscountKind.ValueType(one.kind),
            name=one.name,
            code=one.code,
            amount=money_message(one.amount),
        )
        for one in found
    ]


def charge_messages(found: Sequence[Charge]) -> list[pb.Charge]:
    """What is charged beside goods and shipping, as messages."""
    return [
        pb.Charge(
            kind=pb.ChargeKind.ValueType(one.kind),
            name=one.name,
            amount=money_message(one.amount),
            tax=money_message(one.tax),
        )
        for one in found
    ]


def check_one_currency(
    total: Money, amounts: Iterable[Money | None], told: Sequence[Discount | Charge], field: str
) -> None:
    """Refuses amounts in another currency than the total's.

    Raises:
        DomainError: INVALID_FIELD.
    """
    found = {amount.currency_code for amount in amounts if amount}
    found |= {one.amount.currency_code for one in told}
    found |= {one.tax.currency_code for one in told if isinstance(one, Charge) and one.tax}
    if other := found - {total.currency_code}:
        shown = ", ".join(sorted(other))
        raise invalid(field, f"is in {total.currency_code}, other amounts in {shown}")
