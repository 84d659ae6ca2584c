"""Reading what a platform sent: exact numbers, and records that make no sense put aside.

A platform's JSON may hold anything. What is missing is missing, never zero: a reader gets None and
decides. A record that cannot be used is logged by name, counted, and left out; the others go on.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, TypeVar

import structlog
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type import money_pb2

from gateway.counters import QUARANTINED

Record = dict[str, Any]
"""A JSON object of a platform."""

Made = TypeVar("Made")

_DECIMAL = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NUMBER_MAX = Decimal(10) ** 18
_NANO = Decimal("1e-9")
_THOUSANDTH = Decimal("0.001")
_MILLIONTH = Decimal("0.000001")
_REQUEST_ID_LENGTH_MAX = 128

log = structlog.get_logger()


class BadRecordError(ValueError):
    """A platform's record that cannot be used; says which field, and what it takes."""


def parse_json(text: str | bytes) -> Any:
    """JSON with exact decimals.

    Raises:
        ValueError: it is no JSON, or holds NaN or Infinity, or is nested beyond reason.
    """
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


@dataclass(frozen=True, slots=True)
class Aside:
    """A record that was put aside."""

    kind: str
    name: str
    why: str


PUT_ASIDE: ContextVar[list[Aside] | None] = ContextVar("put_aside", default=None)
"""Takes what is put aside, where somebody wants to list it."""


def kept(
    platform: str, kind: str, records: Iterable[Any], make: Callable[[Record], Made | None]
) -> list[Made]:
    """What `make` gives for each record; None is left out. A record that makes no sense is put
    aside with a log line that names it.
    """
    made: list[Made] = []
    for record in records:
        try:
            if not isinstance(record, dict):
                raise BadRecordError("must be a JSON object")
            found = make(record)
        except (TypeError, ValueError) as error:  # also what protobuf says of text it cannot hold
            name = str(record.get("id", "")) if isinstance(record, dict) else ""
            quarantine(platform, kind, name, str(error))
        else:
            if found is not None:
                made.append(found)
    return made


def quarantine(platform: str, kind: str, name: str, why: str) -> None:
    """Puts a record aside: it is logged and counted, and the others go on."""
    if (listed := PUT_ASIDE.get()) is not None:
        listed.append(Aside(kind, name, why))
    log.warning("record put aside", platform=platform, record=kind, id=name, why=why)
    QUARANTINED.labels(platform, kind).inc()


def text(record: Record, name: str, default: str = "") -> str:
    """A text field; numbers count as text; missing and null are `default`."""
    value = record.get(name)
    if value is None or isinstance(value, dict | list):
        return default
    return str(value)


def printable(value: str) -> str:
    """Text without the characters that no service stores."""
    return _UNPRINTABLE.sub("", value)


def escaped(json_text: str) -> str:
    """JSON text that says the same with those characters escaped."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json_text)


def needed(record: Record, name: str) -> str:
    """A text field that a record cannot do without.

    Raises:
        BadRecordError: it is missing or empty.
    """
    value = text(record, name)
    if not value:
        raise BadRecordError(f"{name} is missing")
    return value


def nested(record: Record, name: str) -> Record:
    """An object field; anything else is an empty object."""
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def listed(record: Record, name: str) -> list[Record]:
    """The objects of a list field; anything else is an empty list."""
    value = record.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def decimal(value: Any) -> Decimal | None:
    """A JSON number or decimal text; None for anything else and for absurd sizes."""
    if isinstance(value, str):
        value = value.strip()
        found = Decimal(value) if _DECIMAL.fullmatch(value) else None
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        found = Decimal(value)
    else:
        found = None
    return found if found is not None and abs(found) < _NUMBER_MAX else None


def whole(value: Any) -> int:
    """A whole number that is not negative; 0 for anything else."""
    found = decimal(value)
    return int(found) if found is not None and found >= 0 and found == int(found) else 0


def needed_decimal(record: Record, *names: str) -> Decimal:
    """The first of the fields that holds a number.

    Raises:
        BadRecordError: none does.
    """
    for name in names:
        found = decimal(record.get(name))
        if found is not None:
            return found
    raise BadRecordError(f"{names[0]} must be a number, got {record.get(names[0])!r}")


def quantity_text(value: Decimal, rounding: str = ROUND_HALF_EVEN) -> str:
    """A quantity as the contracts write it: at most three fraction digits."""
    return plain(value.quantize(_THOUSANDTH, rounding))


def measure_text(value: Decimal) -> str:
    """A weight or length as the contracts write it: at most six fraction digits."""
    return plain(value.quantize(_MILLIONTH, ROUND_HALF_EVEN))


def plain(value: Decimal) -> str:
    """Decimal text without exponent or trailing zeros."""
    shown = f"{value:f}"
    shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
    return "0" if shown in ("-0", "") else shown


def number(value: Decimal) -> int | float:
    """A JSON number, whole where it is."""
    return int(value) if value == int(value) else float(value)


def money(amount: Decimal, currency: str) -> money_pb2.Money:
    """An amount as the contracts carry it, exact to nine digits."""
    nanos = int(amount.quantize(_NANO, ROUND_HALF_EVEN).scaleb(9))
    sign = -1 if nanos < 0 else 1
    units, rest = divmod(abs(nanos), 10**9)
    return money_pb2.Money(currency_code=currency, units=sign * units, nanos=sign * rest)


def amount(value: money_pb2.Money) -> Decimal:
    """The amount in a Money."""
    return Decimal(value.units) + Decimal(value.nanos).scaleb(-9)


def timestamp(seconds: int) -> Timestamp:
    """Unix seconds as the contracts carry them."""
    return Timestamp(seconds=seconds)


def request_id(kind: str, *parts: object, body: Message | None = None) -> str:
    """A request id that is a function of the content: the same change again has the same id.

    Args:
        kind: who asks what, such as `lsx/inventory`.
        parts: what the change is about.
        body: the request, whose content is part of the id.
    """
    plain_id = "/".join([kind, *map(str, parts)])
    if body is not None:
        whole_body = body.SerializeToString(deterministic=True)
        plain_id += "/" + hashlib.blake2b(whole_body, digest_size=9).hexdigest()
    if len(plain_id) <= _REQUEST_ID_LENGTH_MAX:
        return plain_id
    return f"{kind}/{hashlib.blake2b(plain_id.encode(), digest_size=24).hexdigest()}"
