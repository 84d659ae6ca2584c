"""Levels of X-Series, from the API and from webhooks."""

from decimal import ROUND_FLOOR

from gateway.records import (
    BadRecordError,
    Record,
    decimal,
    needed,
    needed_decimal,
    quantity_text,
    whole,
)
from tillbridge.inventory.v1 import inventory_pb2


def count_of(row: Record) -> inventory_pb2.Count:
    """A level as API 2.0 gives it; which of two names it goes by depends on the account's age. The
    platform counts finer than we do: what is left over is rounded down, so that nothing is promised
    that is not there.

    Raises:
        BadRecordError: the item, the outlet, the level or its version is missing. A level that is
            missing is never zero; one without a version may be older than what is known.
    """
    version = whole(row.get("version"))
    if not version:
        raise BadRecordError("version must be a whole number above 0")
    level = needed_decimal(row, "inventory_level", "current_amount")
    return inventory_pb2.Count(
        item_id=needed(row, "product_id"),
        outlet_id=needed(row, "outlet_id"),
        quantity=quantity_text(level, ROUND_FLOOR),
        version=version,
    )


def count_in_event(payload: Record) -> inventory_pb2.Count | None:
    """The level in an `inventory.update`; None when it has to be read from the API, because the
    event does not say it, or not as of which version.

    Raises:
        BadRecordError: the event does not say which item is meant.
    """
    if not needed(payload, "product_id"):
        raise BadRecordError("product_id is missing")
    level, version = decimal(payload.get("count")), whole(payload.get("version"))
    if level is None or not version or not payload.get("outlet_id"):
        return None
    return count_of({**payload, "inventory_level": level})
