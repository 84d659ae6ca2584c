"""Quantities, amounts and times."""

import re
from datetime import UTC, datetime
from typing import overload

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money as MoneyMessage

from services.chassis.errors import invalid
from services.chassis.plumbing import EPOCH
from services.order.rules.document import NANOS, Money

UNITS_MAX = 9_000_000_000
"""The largest amount, so that it fits a column in billionths."""

_CURRENCY = re.compile(r"[A-Z]{3}")
_DAY_S = 86_400


def quantity(text: str, field: str) -> int:
    """Thousandths of decimal text that the contract's pattern has let through.

    Raises:
        DomainError: INVALID_FIELD when it is zero.
    """
    if text.isdecimal() and text.strip("0"):
        return int(text) * 1000
    sign = -1 if text.startswith("-") else 1
    whole, _, fraction = text.removeprefix("-").partition(".")
    thousandths = int(whole) * 1000 + int(fraction.ljust(3, "0"))
    if not thousandths:
        raise invalid(field, "must not be zero")
    return sign * thousandths


def quantity_or_none(text: str) -> int:
    """Thousandths of decimal text that the contract's pattern has let through; empty is 0."""
    return quantity(text, "") if text.strip("0.") else 0


def quantity_text(thousandths: int) -> str:
    """Decimal text with as many fraction digits as it needs."""
    whole, rest = divmod(abs(thousandths), 1000)
    text = f"{whole}.{rest:03}".rstrip("0").rstrip(".")
    return f"-{text}" if thousandths < 0 else text


def money(message: MoneyMessage, field: str) -> Money:
    """An amount.

    Raises:
        DomainError: INVALID_FIELD.
    """
    code, units, nanos = message.currency_code, message.units, message.nanos
    if not _CURRENCY.fullmatch(code):
        raise invalid(f"{field}.currency_code", "must be three capital letters of ISO 4217")
    if not -UNITS_MAX <= units <= UNITS_MAX:
        raise invalid(f"{field}.units", f"must lie between -{UNITS_MAX} and {UNITS_MAX}")
    if not -NANOS < nanos < NANOS or units * nanos < 0:
        raise invalid(f"{field}.nanos", "must be below one unit, with the sign of units")
    return Money(code, units * NANOS + nanos)


def optional_money(message: Message, name: str, field: str) -> Money | None:
    """The amount in a message's field `name`; None when it is absent.

    Raises:
        DomainError: INVALID_FIELD.
    """
    return money(getattr(message, name), field) if message.HasField(name) else None


def money_message(amount: Money | None) -> MoneyMessage | None:
    """An amount as a message; None stays None."""
    if amount is None:
        return None
    if amount.amount_nanos < 0:
        units, nanos = divmod(-amount.amount_nanos, NANOS)
        return MoneyMessage(currency_code=amount.currency_code, units=-units, nanos=-nanos)
    units, nanos = divmod(amount.amount_nanos, NANOS)
    return MoneyMessage(currency_code=amount.currency_code, units=units, nanos=nanos)


def time(message: Timestamp, field: str) -> datetime:
    """A time.

    Raises:
        DomainError: INVALID_FIELD when it is outside the years 1 to 9999.
    """
    try:
        return message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise invalid(field, "must be a time in the years 1 to 9999") from error


def optional_time(message: Message, name: str, field: str) -> datetime | None:
    """The time in a message's field `name`; None when it is absent.

    Raises:
        DomainError: INVALID_FIELD.
    """
    return time(getattr(message, name), field) if message.HasField(name) else None


@overload
def time_message(moment: datetime) -> Timestamp: ...


@overload
def time_message(moment: datetime | None) -> Timestamp | None: ...


def time_message(moment: datetime | None) -> Timestamp | None:
    """A time as a message; None stays None."""
    if moment is None:
        return None
    # By hand, since Timestamp.FromDatetime takes five times as long.
    since = moment - EPOCH
    seconds = since.days * _DAY_S + since.seconds
    return Timestamp(seconds=seconds, nanos=since.microseconds * 1000)
