"""Money and times, as messages and as values."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from google.type import money_pb2

from services.catalog.rules.products import Money
from services.chassis.errors import invalid

NANOS = 10**9


def money(message: money_pb2.Money, path: str) -> Money:
    """An amount of money.

    Raises:
        DomainError: INVALID_FIELD; units and nanos do not go together.
    """
    units, nanos = message.units, message.nanos
    if abs(nanos) >= NANOS or (units > 0 > nanos) or (units < 0 < nanos):
        raise invalid(
            f"{path}.nanos", "must lie between -999999999 and 999999999 and have the sign of units"
        )
    return Money(message.currency_code, units * NANOS + nanos)


def money_message(money: Money | None) -> money_pb2.Money | None:
    """An amount of money; none for none."""
    if money is None:
        return None
    units, nanos = divmod(money.amount_nanos, NANOS)
    return money_pb2.Money(currency_code=money.currency_code, units=units, nanos=nanos)


def timestamp(time: datetime) -> Timestamp:
    """A time."""
    message = Timestamp()
    message.FromDatetime(time)
    return message
