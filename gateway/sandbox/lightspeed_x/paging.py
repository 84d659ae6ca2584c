"""Paging by version, as API 2.0 does, and the reply envelope around it."""

from collections.abc import Callable, Iterable
from itertools import islice

from starlette.datastructures import QueryParams

from gateway.sandbox.lightspeed_x.retailer import refusal
from gateway.sandbox.values import Row

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1000


def page(rows: Iterable[Row], query: QueryParams, view: Callable[[Row], Row] = dict) -> Row:
    """One page of rows, which must come in the order of their versions.

    Callers go on with `after` = the reply's `version.max` until `data` is empty. Deleted rows
    appear with `deleted=true` only.
    """
    after = integer(query, "after", 0)
    before = integer(query, "before", 0)
    size = min(integer(query, "page_size", PAGE_SIZE_DEFAULT), PAGE_SIZE_MAX)
    with_deleted = query.get("deleted") in ("true", "1")
    wanted = (
        row
        for row in rows
        if row["version"] > after
        and (not before or row["version"] < before)
        and (with_deleted or row.get("deleted_at") is None)
    )
    return envelope([view(row) for row in islice(wanted, max(size, 1))])


def envelope(data: list[Row]) -> Row:
    """The reply `{"data": [...], "version": {"min", "max"}}`; both are null when empty."""
    versions = [row["version"] for row in data]
    return {
        "data": data,
        "version": {"min": min(versions, default=None), "max": max(versions, default=None)},
    }


def integer(query: QueryParams, name: str, default: int) -> int:
    """A query parameter that must be a non-negative integer; empty counts as absent.

    Raises:
        ApiError: 400 when it is something else.
    """
    text = query.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit()):
        raise refusal(400, f"{name} must be a non-negative integer")
    return int(text)
