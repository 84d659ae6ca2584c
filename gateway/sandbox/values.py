"""Reading JSON bodies field by field, and the few value types both simulators share.

A table of field name to `Kind` says what a platform accepts; `read` applies it and collects every
complaint, and each simulator turns these into its platform's own error body.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

_TYPE_NAMES = {str: "a string", bool: "a boolean", dict: "an object", list: "a list"}

Row = dict[str, Any]
"""A JSON object: a stored entity, or one on the wire."""

Kind = Callable[[Any], Any]
"""Checks one value and returns it as it is stored; raises ValueError with what would pass."""

Clock = Callable[[], datetime]
"""Gives the present time, aware and in UTC."""


def utc_now() -> datetime:
    """The default clock."""
    return datetime.now(UTC)


class FieldError(Exception):
    """A body was not acceptable: field name to complaint."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        super().__init__("; ".join(f"{field}: {text}" for field, text in self.errors.items()))


def read(body: Mapping[str, Any], kinds: Mapping[str, Kind]) -> Row:
    """Takes the known fields that are present in `body`, checked; unknown ones are ignored.

    Platforms ignore unknown fields too, which is why clients may send back what they have read.

    Raises:
        FieldError: with one complaint for each field that does not pass.
    """
    values: Row = {}
    errors: dict[str, str] = {}
    for field, kind in kinds.items():
        if field not in body:
            continue
        try:
            values[field] = kind(body[field])
        except ValueError as complaint:
            errors[field] = str(complaint)
    if errors:
        raise FieldError(errors)
    return values


async def json_object(request: Request) -> Row:
    """The request's body as a JSON object.

    Raises:
        FieldError: under the name `body`, when it is anything else.
    """
    try:
        body = json.loads(await request.body())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FieldError({"body": f"must be JSON ({error})"}) from error
    if not isinstance(body, dict):
        raise FieldError({"body": "must be a JSON object"})
    return body


def _of_type(wanted: type) -> Kind:
    def check(value: Any) -> Any:
        if not isinstance(value, wanted):
            raise ValueError(f"must be {_TYPE_NAMES[wanted]}")
        return value

    return check


text = _of_type(str)
flag = _of_type(bool)
mapping = _of_type(dict)


def loose_flag(value: Any) -> bool:
    """A boolean, also in the 0.9 spellings `0`, `1`, `"0"` and `"1"`."""
    spellings = {True: True, False: False, "0": False, "1": True, "true": True, "false": False}
    if not isinstance(value, bool | int | str) or value not in spellings:
        raise ValueError("must be a boolean")
    return spellings[value]


def number(value: Any) -> int | float:
    """A JSON number, or the decimal text that older clients send; whole ones become int."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a number")
    try:
        return tidy(float(value))
    except (ValueError, OverflowError):
        raise ValueError("must be a number") from None


def whole(value: Any) -> int:
    """A JSON number without fraction."""
    result = number(value)
    if not isinstance(result, int):
        raise ValueError("must be a whole number")
    return result


def tidy(value: float) -> int | float:
    """Rounds to the five decimals the platforms keep; whole numbers print without a fraction."""
    rounded = round(value, 5)
    return int(rounded) if rounded == int(rounded) else rounded


def nullable(kind: Kind) -> Kind:
    """Accepts null besides what `kind` accepts."""
    return lambda value: None if value is None else kind(value)


def one_of(*names: str) -> Kind:
    """Accepts exactly these texts."""

    def check(value: Any) -> Any:
        if value not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return value

    return check


def list_of(kind: Kind) -> Kind:
    """Accepts a list whose every element passes `kind`."""

    def check(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError("must be a list")
        return [kind(element) for element in value]

    return check


def record_of(kinds: Mapping[str, Kind], *, required: tuple[str, ...] = ()) -> Kind:
    """Accepts an object with these fields; unknown ones are ignored."""

    def check(value: Any) -> Row:
        if not isinstance(value, dict):
            raise ValueError("must be an object")
        missing = [field for field in required if value.get(field) in (None, "")]
        if missing:
            raise ValueError(f"{missing[0]} is required")
        try:
            return read(value, kinds)
        except FieldError as error:
            raise ValueError(str(error)) from error

    return check
