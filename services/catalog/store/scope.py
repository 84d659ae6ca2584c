"""Scopes: the listings that filters mean, as SQL that stays fast however many there are.

Pages go by product id. Whichever of the tables narrows most leads, by an index that ends with the
product id, so that a page costs the same wherever it begins.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from services.catalog.rules.listings import Wanted
from services.catalog.store.tables import LISTINGS, PRODUCTS, VARIANTS
from services.chassis.statements import among, keys

_l, _p, _v = LISTINGS.c, PRODUCTS.c, VARIANTS.c

_PRODUCTS_BY_SKU = sa.select(_v.product_id).where(among(keys(), _v.merchant_id, _v.sku)).distinct()
_NAMED = among(keys(), _l.merchant_id, _l.channel_id, _l.product_id)
_EMPTY: sa.ColumnElement[str] = sa.literal_column("''")
_ON: sa.ColumnElement[Any] = sa.literal_column("listings.sell_online")
"""As text of the statement: partial indexes are only used where their condition stands there."""


class Scope:
    """Some listings of a channel that are not deleted."""

    def __init__(
        self, connection: Connection, merchant_id: str, channel_id: str, wanted: Wanted
    ) -> None:
        self._connection = connection
        self._where: list[sa.ColumnElement[bool]] = [
            _l.merchant_id == merchant_id,
            _l.channel_id == channel_id,
            ~_l.deleted,
        ]
        self._by_product = bool(wanted.category or wanted.brand or wanted.tag)
        # Those that failed are few, and lead. What leads, orders.
        self._products_lead = self._by_product and not wanted.push_failed
        self._listed: dict[str, Any] = {}
        if wanted.skus or wanted.product_ids:
            ids = _named(connection, merchant_id, wanted)
            self._listed = {"keys": [(merchant_id, channel_id, one) for one in sorted(ids)]}
            self._where.append(_NAMED)
        self._filter(merchant_id, wanted)

    def page(self, after: str, count: int) -> list[sa.Row[Any]]:
        """Up to `count` rows of listings behind the product `after`, by product."""
        found = sa.select(LISTINGS).select_from(self._tables()).where(*self._where)
        # Both begin behind it, or what is read beside what leads would begin at its first row.
        ids = [_p.product_id, _l.product_id] if self._products_lead else [_l.product_id]
        found = found.where(*(one > after for one in ids)).order_by(ids[0]).limit(count)
        return list(self._connection.execute(found, self._listed))

    def count(self) -> int:
        """How many there are."""
        found = sa.select(sa.func.count()).select_from(self._tables()).where(*self._where)
        return int(self._connection.scalar(found, self._listed) or 0)

    def _tables(self) -> sa.FromClause:
        if not self._by_product:
            return LISTINGS
        same = (_p.merchant_id == _l.merchant_id) & (_p.product_id == _l.product_id)
        return PRODUCTS.join(LISTINGS, same)

    def _filter(self, merchant_id: str, wanted: Wanted) -> None:
        where = self._where
        if wanted.sell_online is not None:
            where.append(_ON if wanted.sell_online else ~_l.sell_online)
        if wanted.push_failed:
            where.append(_l.push_error != _EMPTY)
        if self._by_product:
            where.append(_p.merchant_id == merchant_id)
        if wanted.category:
            where += [_p.category == wanted.category, _p.category != _EMPTY]
        if wanted.brand:
            where += [_p.brand == wanted.brand, _p.brand != _EMPTY]
        if wanted.tag:
            where.append(_tagged(_p.tags, sa.literal(wanted.tag)))


def _named(connection: Connection, merchant_id: str, wanted: Wanted) -> set[str]:
    """The products that are named, by their ids or by SKUs of their variants, or by both."""
    ids = set(wanted.product_ids)
    if not wanted.skus:
        return ids
    listed = {"keys": [(merchant_id, sku) for sku in sorted(wanted.skus)]}
    by_sku = set(connection.scalars(_PRODUCTS_BY_SKU, listed))
    return by_sku & ids if ids else by_sku


class _tagged(FunctionElement[Any]):  # noqa: N801  (reads as SQL, like sqlalchemy's own)
    """`_tagged(tags, tag)`: whether the JSON list has this very text in it."""

    inherit_cache = True


@compiles(_tagged, "sqlite")
def _tagged_sqlite(element: _tagged, compiler: SQLCompiler, **options: Any) -> str:
    tags, tag = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{tag} IN (SELECT value FROM json_each({tags}))"  # noqa: S608  (names, a placeholder)


@compiles(_tagged, "postgresql")
def _tagged_postgresql(element: _tagged, compiler: SQLCompiler, **options: Any) -> str:
    tags, tag = (compiler.process(clause, **options) for clause in element.clauses)
    return f"jsonb_exists(CAST({tags} AS jsonb), CAST({tag} AS text))"
