"""An Ecwid store: its API, called with retries and within its rate limit."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from gateway.ecom import Figure, OrderSeen, Shelf, Slot
from gateway.ecom.ecwid.listings import (
    Units,
    image_mark,
    images_differ,
    product_body,
    shelf_of,
    stock_body,
    units_of,
)
from gateway.ecom.ecwid.orders import document_of, seen_of
from gateway.platform import Bucket, PlatformClient, PlatformError
from gateway.records import BadRecordError, Record, kept, listed, parse_json, text, whole
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.order.v1 import order_pb2

PLATFORM = "ecwid"

CALLS_PER_MINUTE = 600
"""What is known of the platform's limit is old; the setting overrides it."""

PAGE_SIZE = 100
PAGES_MAX = 10_000
UNITS_S_MAX = 300.0
"""How long the store is taken to count in the units that it did."""

OVERLAP_S = 120
"""Orders are read again from so long before the newest one seen: several may share a second, and
one may become visible late.
"""

_SHELF_FIELDS = "id,externalReferenceId,enabled,quantity,unlimited"
_SHELF_MASK = (
    f"total,count,offset,limit,items({_SHELF_FIELDS},"
    "combinations(id,externalReferenceId,quantity,unlimited))"
)
_ORDER_MASK = "total,count,offset,limit,items(id,paymentStatus,updateTimestamp)"


class Ecwid:
    """One store; a `Store`.

    Args:
        base_url: `https://app.ecwid.com`, without a path.
        store_id: the store's number.
        token: its access token.
        calls_per_minute: the rate limit.
    """

    def __init__(
        self, base_url: str, store_id: str, token: str, calls_per_minute: int = CALLS_PER_MINUTE
    ) -> None:
        self._base = f"/api/v3/{quote(store_id, safe='')}"
        self._api = PlatformClient(
            PLATFORM,
            base_url,
            {"Authorization": f"Bearer {token}"},
            Bucket(calls_per_minute, 60.0),
            _error_of,
        )
        self._units: tuple[float, Units] | None = None
        self._category_ids: dict[str, int] = {}
        self._category_lock = asyncio.Lock()

    async def close(self) -> None:
        """Closes the connections."""
        await self._api.close()

    async def order(self, order_id: str) -> order_pb2.OrderDocument | None:
        """The order as the store has it now; None for a cart that was left behind.

        Raises:
            PlatformError: with status 404 when the store has no such order.
            BadRecordError: it makes no sense.
        """
        units = await self.units()
        source = await self._api.text("GET", f"{self._base}/orders/{quote(order_id, safe='')}")
        try:
            order = parse_json(source)
        except ValueError as error:
            raise PlatformError(PLATFORM, f"an order is no JSON: {error}", transient=True) from None
        if not isinstance(order, dict):
            raise BadRecordError("an order must be a JSON object")
        return document_of(order, source, units.currency)

    async def orders_since(self, cursor: str) -> AsyncIterator[tuple[Sequence[OrderSeen], str]]:
        """Orders that changed since the cursor, which is the newest time of update seen."""
        newest = since = whole(cursor)
        query: dict[str, str | int] = {
            "responseFields": _ORDER_MASK,
            "updatedFrom": max(0, since - OVERLAP_S),
        }
        async for orders in self._pages("orders", query):
            newest = max(newest, *(whole(order.get("updateTimestamp")) for order in orders))
            # The list is not in the order of changes: the cursor moves when all of it was read.
            yield kept(PLATFORM, "order", orders, seen_of), cursor
        if newest > since:
            yield [], str(newest)

    async def shelves(self) -> AsyncIterator[Shelf]:
        """Everything that the store offers."""
        async for products in self._pages("products", {"responseFields": _SHELF_MASK}):
            for shelf in kept(PLATFORM, "product", products, shelf_of):
                yield shelf

    async def shelf(self, product_id: str) -> Shelf | None:
        """What the store holds of one of our products."""
        product = await self._linked(product_id)
        return shelf_of(product) if product else None

    async def write_listing(
        self, listing: catalog_pb2.Listing, figures: Mapping[str, Figure]
    ) -> Shelf:
        """Creates or overwrites what the store shows of a listing, its stock included.

        Raises:
            PlatformError: the store refused, or cannot be asked.
            BadRecordError: the store cannot hold the listing.
        """
        units = await self.units()
        category_id = await self._category_id(listing.category)
        known = await self._linked(listing.product_id)
        shelf = shelf_of(known) if known else None
        body = product_body(listing, figures, shelf, units, category_id)
        if known is None:
            known = await self._create(listing.product_id, body)
        else:
            await self._overwrite(text(known, "id"), body)
        await self._write_images(known, listing.image_urls)
        written = await self._linked(listing.product_id)
        if written is None:
            raise PlatformError(PLATFORM, "the product vanished as it was written", transient=True)
        return shelf_of(written)

    async def remove_listing(self, shelf: Shelf) -> None:
        """Takes a listing out of the store; one that is gone already is no error."""
        try:
            await self._api.text("DELETE", f"{self._base}/products/{shelf.shelf_id}")
        except PlatformError as error:
            if error.status != 404:
                raise

    async def write_stock(self, slot: Slot, figure: Figure) -> None:
        """Sets the stock of an item to an absolute figure."""
        path = f"{self._base}/products/{slot.shelf_id}"
        if slot.variation_id:
            path += f"/combinations/{slot.variation_id}"
        await self._api.text("PUT", path, body=stock_body(figure), urgent=True)

    async def units(self) -> Units:
        """What the store counts in, as its profile says.

        Raises:
            BadRecordError: the profile names no currency.
        """
        now = time.monotonic()
        if self._units is None or self._units[0] < now:
            profile = await self._api.json("GET", f"{self._base}/profile", urgent=True)
            units = units_of(profile if isinstance(profile, dict) else {})
            self._units = (now + UNITS_S_MAX, units)
        return self._units[1]

    async def _linked(self, product_id: str) -> Record | None:
        """The product that is linked to ours."""
        query = {"externalReferenceId": product_id}
        answer = await self._api.json("GET", f"{self._base}/products", query=query)
        products = listed(_object(answer), "items")
        found = [p for p in products if text(p, "externalReferenceId") == product_id]
        return found[0] if found else None

    async def _create(self, product_id: str, body: Record) -> Record:
        """Creates a product. One that came into being because an answer got lost is overwritten."""
        path = f"{self._base}/products?saveCombinations=true"
        try:
            answer = await self._api.json("POST", path, body=body, repeatable=False)
            return {"id": text(_object(answer), "id")}
        except PlatformError as error:
            known = await self._linked(product_id)
            if known is None:
                raise
            if error.status != 409 and not error.transient:
                raise
        await self._overwrite(text(known, "id"), body)
        return known

    async def _overwrite(self, shelf_id: str, body: Record) -> None:
        path = f"{self._base}/products/{shelf_id}?saveCombinations=true"
        await self._api.text("PUT", path, body=body)

    async def _write_images(self, product: Record, urls: Sequence[str]) -> None:
        """Makes the images those of the listing, if the point of sale has changed any (CAT-08)."""
        if not images_differ(product, urls):
            return
        path = f"{self._base}/products/{text(product, 'id')}"
        await self._api.text("DELETE", f"{path}/gallery")
        if not urls:
            await self._api.text("DELETE", f"{path}/image")
        for index, url in enumerate(urls):
            await self._api.text(
                "POST",
                f"{path}/{'gallery' if index else 'image'}",
                query={"externalUrl": url},
                body={"externalId": image_mark(url)},
                repeatable=index == 0,
            )

    async def _category_id(self, name: str) -> int | None:
        """The category of this name, made if there is none; None for no category."""
        if not name:
            return None
        async with self._category_lock:  # listings are written several at a time
            return await self._category(name)

    async def _category(self, name: str) -> int:
        if name not in self._category_ids:
            async for categories in self._pages("categories", {}):
                for category in categories:
                    self._category_ids.setdefault(text(category, "name"), whole(category.get("id")))
        if name not in self._category_ids:
            answer = await self._api.json(
                "POST", f"{self._base}/categories", body={"name": name}, repeatable=False
            )
            self._category_ids[name] = whole(_object(answer).get("id"))
        return self._category_ids[name]

    async def _pages(
        self, resource: str, query: Mapping[str, str | int]
    ) -> AsyncIterator[list[Record]]:
        """Pages of a list, until one is short."""
        for page in range(PAGES_MAX):
            paged = {**query, "limit": PAGE_SIZE, "offset": page * PAGE_SIZE}
            answer = await self._api.json("GET", f"{self._base}/{resource}", query=paged)
            items = listed(_object(answer), "items")
            if items:
                yield items
            if len(items) < PAGE_SIZE:
                return
        raise PlatformError(PLATFORM, f"{resource}: more than {PAGES_MAX} pages")


def _object(answer: Any) -> Record:
    """An answer that must be an object; anything else holds nothing."""
    return answer if isinstance(answer, dict) else {}


def _error_of(body: Any) -> tuple[str, str]:
    if not isinstance(body, dict):
        return "", str(body)[:200]
    return text(body, "errorCode"), text(body, "errorMessage")
