"""Lists as the store answers them: filters, the envelope, and the responseFields mask."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.sandbox.ecwid.store import wrong_parameter
from gateway.sandbox.values import Row

LIMIT_MAX = 100
"""Items per page, both the default and the most."""

Filter = Callable[[Row, str], bool]
"""Whether a row passes a query parameter's value."""


def listing(
    request: Request,
    rows: Iterable[Row],
    filters: Mapping[str, Filter],
    view: Callable[[Row], Row] = dict,
    extra: Row | None = None,
) -> Response:
    """One page of the rows that pass every filter named in the query."""
    query = request.query_params
    found = [
        row
        for row in rows
        if all(passes(row, query[name]) for name, passes in filters.items() if query.get(name))
    ]
    offset = _integer(query, "offset", 0)
    limit = min(_integer(query, "limit", LIMIT_MAX), LIMIT_MAX)
    items = [view(row) for row in found[offset : offset + limit]]
    head = {"total": len(found), "count": len(items), "offset": offset, "limit": limit}
    return answer(request, {**head, "items": items, **(extra or {})})


def answer(request: Request, body: Any) -> Response:
    """A 200 answer, cut down to what `responseFields` asks for."""
    fields = request.query_params.get("responseFields")
    return JSONResponse(masked(body, parse_mask(fields)) if fields else body)


Mask = dict[str, "Mask"]
"""Field name to the mask of what is inside; an empty one keeps everything."""


def parse_mask(text: str) -> Mask:
    """Reads a mask such as `total,items(id,name)`.

    Raises:
        ApiError: 400 when parentheses do not match.
    """
    root: Mask = {}
    stack = [root]
    name = ""
    for part in re.findall(r"[(),]|[^(),\s]+", text):
        if part == "(":
            stack.append(stack[-1].setdefault(name, {}))
        elif part == ")":
            stack.pop()
            if not stack:
                raise wrong_parameter("responseFields: unexpected )")
        elif part != ",":
            name = part
            stack[-1].setdefault(name, {})
    if len(stack) != 1:
        raise wrong_parameter("responseFields: missing )")
    return root


def masked(value: Any, mask: Mask) -> Any:
    """The parts of a JSON value that a mask names; lists are masked element by element."""
    if not mask:
        return value
    if isinstance(value, list):
        return [masked(element, mask) for element in value]
    if isinstance(value, dict):
        return {name: masked(value[name], inner) for name, inner in mask.items() if name in value}
    return value


def timestamp(text: str) -> int:
    """A date filter: unix seconds, or date and time as text (UTC unless it says otherwise).

    Raises:
        ApiError: 400 when it is neither.
    """
    if re.fullmatch(r"\d{1,12}", text):
        return int(text)
    try:
        # A plus sign in a query arrives as a space.
        moment = datetime.fromisoformat(re.sub(r" [ +](\d{4})$", r"+\1", text.strip()))
    except ValueError:
        raise wrong_parameter(f"'{text}' is not a date") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def number(text: str) -> float:
    """A numeric filter.

    Raises:
        ApiError: 400 when it is not a number.
    """
    try:
        return float(text)
    except ValueError:
        raise wrong_parameter(f"'{text}' is not a number") from None


def since(field: str) -> Filter:
    """Passes rows whose unix time in `field` is the given one or later."""
    return lambda row, text: bool(row[field] >= timestamp(text))


def until(field: str) -> Filter:
    """Passes rows whose unix time in `field` is the given one or earlier."""
    return lambda row, text: bool(row[field] <= timestamp(text))


def equals(field: str) -> Filter:
    """Passes rows whose field, as text, is the given text."""
    return lambda row, text: str(row.get(field, "")) == text


def any_of(field: str) -> Filter:
    """Passes rows whose field, as text, is one of a comma-separated list."""
    return lambda row, text: str(row.get(field, "")) in _parts(text)


def flagged(field: str) -> Filter:
    """Passes rows whose boolean field is the given one."""
    return lambda row, text: bool(row.get(field)) is (text.lower() == "true")


TIME_FILTERS: dict[str, Filter] = {
    "createdFrom": since("createTimestamp"),
    "createdTo": until("createTimestamp"),
    "updatedFrom": since("updateTimestamp"),
    "updatedTo": until("updateTimestamp"),
}
"""The filters every list has."""


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _integer(query: QueryParams, name: str, default: int) -> int:
    text = query.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit()):
        raise wrong_parameter(f"{name} must be a non-negative integer")
    return int(text)
