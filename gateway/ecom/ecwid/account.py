"""An Ecwid store: its API, called with retries and within its rate limit."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from gateway.ecom import Figure, Held, OrderSeen, Shelf, Slot
from gateway.ecom.ecwid.edits import report_of, squeezed
from gateway.ecom.ecwid.listings import (
    MAIN_IMAGE,
    Units,
    base_sku,
    image_mark,
    image_plan,
    images_of,
    own_fields,
    product_body,
    set_own_fields,
    shelf_of,
    stock_body,
    units_of,
)
from gateway.ecom.ecwid.orders import document_of, seen_of
from gateway.ecom.ecwid.statuses import fulfillment_word, payment_word
from gateway.platform import Bucket, PlatformClient, PlatformError
from gateway.records import BadRecordError, Record, kept, listed, parse_json, text, whole
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.order.v1 import order_pb2

PLATFORM = "ecwid"

CALLS_PER_MINUTE = 600
"""What is known of the platform's limit is old; the setting overrides it."""

PAGE_SIZE = 100
WHOLE_PAGE_SIZE = 50
"""Of products with all that they show: a description may be a quarter of a megabyte."""

PAGES_MAX = 20_000
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
_HELD_FIELDS = (
    "id,externalReferenceId,enabled,quantity,unlimited,name,description,sku,price,weight,dimensions,"
    "attributes,options,combinations,categories,media,subtitle,compareToPrice,warningLimit,"
    "updateTimestamp"
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

    async def orders_of(self, shelf_id: str, since_s: float) -> Sequence[OrderSeen]:
        """Orders of a product that changed since a time."""
        query: dict[str, str | int] = {
            "responseFields": _ORDER_MASK,
            "productId": shelf_id,
            "updatedFrom": max(0, int(since_s) - OVERLAP_S),
        }
        pages = self._pages("orders", query)
        return [seen async for orders in pages for seen in kept(PLATFORM, "order", orders, seen_of)]

    async def shelves(self) -> AsyncIterator[Shelf]:
        """Everything that the store offers."""
        async for products in self._pages("products", {"responseFields": _SHELF_MASK}):
            for shelf in kept(PLATFORM, "product", products, shelf_of):
                yield shelf

    async def held(self, shelf_ids: Sequence[str] = ()) -> AsyncIterator[Sequence[Held]]:
        """What the store shows under these ids of its own, or all of it, page by page."""
        units = await self.units()
        query = {"responseFields": f"total,count,offset,limit,items({_HELD_FIELDS})"}
        for begin in range(0, len(shelf_ids) or 1, WHOLE_PAGE_SIZE):
            part = ",".join(shelf_ids[begin : begin + WHOLE_PAGE_SIZE])
            paged = {**query, "productId": part} if part else query
            async for products in self._pages("products", paged, WHOLE_PAGE_SIZE):
                yield kept(PLATFORM, "product", products, lambda product: _held(product, units))

    async def held_of(self, product_id: str) -> Held | None:
        """What the store shows of one of our products."""
        product = await self._linked(product_id)
        return _held(product, await self.units()) if product else None

    async def held_at(self, shelf_id: str) -> Held | None:
        """What the store shows under one of its own ids."""
        path = f"{self._base}/products/{quote(shelf_id, safe='')}"
        try:
            product = await self._api.json("GET", path, query={"responseFields": _HELD_FIELDS})
        except PlatformError as error:
            if error.status != 404:
                raise
            return None
        return _held(_object(product), await self.units())

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
        if known is not None:
            shelf = shelf_of(known)
            body = product_body(listing, figures, shelf, units, category_id)
            body |= base_sku(listing, known) | own_fields(listing, listing.unpushed_fields, units)
            if not await self._overwrite(shelf.shelf_id, body):
                known = None
        if known is None:
            body = product_body(listing, figures, None, units, category_id)
            body |= own_fields(listing, set_own_fields(listing), units)
            known = await self._create(listing.product_id, body)
        await self._write_images(known, listing)
        return await self._written(listing)

    async def _written(self, listing: catalog_pb2.Listing) -> Shelf:
        """What the store holds of a listing that was just written. A category that it does not show
        by the name that was wanted was renamed or deleted in the store: then there is another.
        """
        written = await self._linked(listing.product_id)
        if written is None:
            raise PlatformError(PLATFORM, "the product vanished as it was written", transient=True)
        names = {squeezed(text(one, "name")) for one in listed(written, "categories")}
        wanted = squeezed(listing.category)
        if wanted and "categories" in written and wanted not in names:
            self._category_ids.clear()
            category_id = await self._category_id(listing.category)
            path = f"{self._base}/products/{text(written, 'id')}"
            await self._api.text("PUT", path, body={"categoryIds": [category_id]})
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

    async def show_order(self, order_id: str, update: order_pb2.StoreUpdate) -> None:
        """Shows an order's payment, fulfillment and tracking number.

        Raises:
            PlatformError: with status 404 when the store has no such order.
        """
        shown = {
            "paymentStatus": payment_word(update.payment_status),
            "fulfillmentStatus": fulfillment_word(update.fulfillment_status),
            "trackingNumber": update.tracking_number,
        }
        body = {name: value for name, value in shown.items() if value}
        await self._api.text("PUT", f"{self._base}/orders/{quote(order_id, safe='')}", body=body)

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

    async def _overwrite(self, shelf_id: str, body: Record) -> bool:
        """Overwrites a product; False when it was deleted meanwhile."""
        path = f"{self._base}/products/{shelf_id}?saveCombinations=true"
        try:
            await self._api.text("PUT", path, body=body)
        except PlatformError as error:
            if error.status != 404:
                raise
            return False
        return True

    async def _write_images(self, product: Record, listing: catalog_pb2.Listing) -> None:
        """Makes the images those that the point of sale gave (CAT-08)."""
        plan = image_plan(product, listing)
        path = f"{self._base}/products/{text(product, 'id')}"
        if plan.replace:
            await self._api.text("DELETE", f"{path}/gallery")
            if not plan.missing:
                await self._api.text("DELETE", f"{path}/image")
        for image_id in plan.stale:
            await self._remove_image(path, image_id)
        has_main = any(image.get("isMain") is True for image in images_of(product))
        into_main = plan.replace or not has_main or MAIN_IMAGE in plan.stale
        for url in plan.missing:
            await self._api.text(
                "POST",
                f"{path}/{'image' if into_main else 'gallery'}",
                query={"externalUrl": url},
                body={"externalId": image_mark(url)},
                repeatable=into_main,
            )
            into_main = False

    async def _remove_image(self, path: str, image_id: str) -> None:
        """Takes one image out; one that is gone already is no error."""
        below = "image" if image_id == MAIN_IMAGE else f"gallery/{quote(image_id, safe='')}"
        try:
            await self._api.text("DELETE", f"{path}/{below}")
        except PlatformError as error:
            if error.status != 404:
                raise

    async def _category_id(self, name: str) -> int | None:
        """The category of this name, made if there is none; None for no category."""
        if not (wanted := squeezed(name)):
            return None
        async with self._category_lock:  # listings are written several at a time
            return await self._category(wanted)

    async def _category(self, name: str) -> int:
        if name not in self._category_ids:
            async for categories in self._pages("categories", {}):
                for category in categories:
                    known = squeezed(text(category, "name"))
                    self._category_ids.setdefault(known, whole(category.get("id")))
        if name not in self._category_ids:
            answer = await self._api.json(
                "POST", f"{self._base}/categories", body={"name": name}, repeatable=False
            )
            self._category_ids[name] = whole(_object(answer).get("id"))
        return self._category_ids[name]

    async def _pages(
        self, resource: str, query: Mapping[str, str | int], page_size: int = PAGE_SIZE
    ) -> AsyncIterator[list[Record]]:
        """Pages of a list, until one is short."""
        for page in range(PAGES_MAX):
            paged = {**query, "limit": page_size, "offset": page * page_size}
            answer = await self._api.json("GET", f"{self._base}/{resource}", query=paged)
            items = listed(_object(answer), "items")
            if items:
                yield items
            if len(items) < page_size:
                return
        raise PlatformError(PLATFORM, f"{resource}: more than {PAGES_MAX} pages")


def _held(product: Record, units: Units) -> Held:
    return Held(shelf_of(product), lambda listing: report_of(listing, product, units))


def _object(answer: Any) -> Record:
    """An answer that must be an object; anything else holds nothing."""
    return answer if isinstance(answer, dict) else {}


def _error_of(body: Any) -> tuple[str, str]:
    if not isinstance(body, dict):
        return "", str(body)[:200]
    return text(body, "errorCode"), text(body, "errorMessage")
