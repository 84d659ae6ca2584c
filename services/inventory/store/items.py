"""Items, as the catalog tells them; an item's row is the lock on its stock."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    or_,
    select,
    update,
)

from services.chassis.statements import Lookup, among, keys, upsert
from services.inventory.rules.stock import (
    Item,
)
from services.inventory.store.tables import (
    ITEMS,
    ItemKey,
)

_LOCK_ITEMS = Lookup(
    select(ITEMS.c.merchant_id, ITEMS.c.item_id, ITEMS.c.tracked, ITEMS.c.deleted)
    .where(among(keys(), ITEMS.c.merchant_id, ITEMS.c.item_id))
    .order_by(ITEMS.c.merchant_id, ITEMS.c.item_id)
    .with_for_update()
)


def lock_items(connection: Connection, wanted: Sequence[ItemKey]) -> Iterator[tuple[ItemKey, Item]]:
    """The items with these keys, deleted ones too, each held against other processes until commit.

    An item's row is the lock on all that is decided about its stock, at every outlet.
    """
    rows = _LOCK_ITEMS.ask(connection, keys=wanted)
    return (((row[0], row[1]), Item(*row[1:])) for row in rows)


_FIND_ITEMS = Lookup(
    select(ITEMS.c.merchant_id, ITEMS.c.item_id, ITEMS.c.tracked).where(
        among(keys(), ITEMS.c.merchant_id, ITEMS.c.item_id), ~ITEMS.c.deleted
    )
)


def find_items(connection: Connection, wanted: Iterable[ItemKey]) -> dict[ItemKey, Item]:
    """Those of the items that the catalog has."""
    rows = _FIND_ITEMS.rows(connection, keys=list(set(wanted)))
    return {(row[0], row[1]): Item(row[1], tracked=row[2]) for row in rows}


_LIST_ITEMS = Lookup(
    select(ITEMS.c.item_id, ITEMS.c.tracked)
    .where(
        ITEMS.c.merchant_id == bindparam("merchant"),
        ~ITEMS.c.deleted,
        ITEMS.c.item_id > bindparam("after"),
    )
    .order_by(ITEMS.c.item_id)
    .limit(bindparam("limit"))
)


def list_items(
    connection: Connection, merchant: str, item_ids: Sequence[str], after: str, limit: int
) -> list[Item]:
    """Items by id behind `after`: these, or all when none are named."""
    if item_ids:
        named = find_items(connection, ((merchant, item_id) for item_id in item_ids)).values()
        found = sorted(named, key=lambda item: item.item_id)
        return [item for item in found if item.item_id > after][:limit]
    rows = _LIST_ITEMS.rows(connection, merchant=merchant, after=after, limit=limit)
    return [Item(row[0], tracked=row[1]) for row in rows]


def list_item_ids(connection: Connection, merchant: str, after: str, limit: int) -> list[str]:
    """Ids of items behind `after`, those that the catalog has no more too."""
    table = ITEMS.c
    return list(
        connection.execute(
            select(table.item_id)
            .where(table.merchant_id == merchant, table.item_id > after)
            .order_by(table.item_id)
            .limit(limit)
        ).scalars()
    )


_FORGET_ITEMS = (
    update(ITEMS)
    .where(
        ITEMS.c.merchant_id == bindparam("owner"),
        ITEMS.c.product_id == bindparam("product"),
        ITEMS.c.revision < bindparam("newer"),
    )
    .values(deleted=True, revision=bindparam("newer"))
)


def learn_items(
    connection: Connection, rows: Sequence[dict[str, Any]], gone: Sequence[dict[str, Any]]
) -> None:
    """Takes over what the catalog tells of its items; an older revision changes nothing.

    `rows` have the columns of `items`; `gone` name products (`merchant_id`, `product_id`,
    `revision`) whose items that are not among `rows` exist no more.
    """
    if gone:
        connection.execute(
            _FORGET_ITEMS,
            [
                {
                    "owner": product["merchant_id"],
                    "product": product["product_id"],
                    "newer": product["revision"],
                }
                for product in gone
            ],
        )
    upsert(connection, ITEMS, rows, where=_is_newer)


def _is_newer(new: Any) -> ColumnElement[bool]:
    """Revisions count within a product: an item that moved to another one is new there."""
    return or_(ITEMS.c.revision <= new.revision, ITEMS.c.product_id != new.product_id)
