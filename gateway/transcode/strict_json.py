"""JSON as it should be: what the standard library lets through but nobody can mean is refused."""

import json
import math
from collections import Counter
from typing import Any, NoReturn

DEPTH_MAX = 64


def parse_object(body: bytes) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        ValueError: it is malformed, no object, nested deeper than `DEPTH_MAX`, or holds a
            duplicate key, a number that is not finite, or half of a surrogate pair. The message
            is for the caller.
    """
    try:
        text = body.decode()
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_not_a_number,
            parse_float=_finite,
        )
    except UnicodeDecodeError:
        raise ValueError("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"the body is not JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise ValueError(f"the body is nested deeper than {DEPTH_MAX} levels") from None
    if not isinstance(value, dict):
        raise ValueError("the body must be a JSON object")
    _check_depth(value)
    _check_surrogates(text, value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        [(double, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the body holds the key {double!r} twice in one object")
    return found


def _not_a_number(name: str) -> NoReturn:
    raise ValueError(f"the body holds {name}, which is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("the body holds a number that is too large")
    return number


def _check_depth(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(DEPTH_MAX):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise ValueError(f"the body is nested deeper than {DEPTH_MAX} levels")


def _check_surrogates(text: str, value: dict[str, Any]) -> None:
    """Half a surrogate pair can come only from an escape, since the text itself was UTF-8."""
    if "\\u" not in text:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("the body holds half of a surrogate pair (\\ud800 to \\udfff)") from None
