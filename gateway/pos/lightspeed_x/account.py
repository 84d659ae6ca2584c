"""An X-Series account: its API, called with retries and within its rate limit."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import quote

import structlog

from gateway.platform import Bucket, PlatformClient, PlatformError
from gateway.pos import (
    Batch,
    Change,
    CustomersRead,
    Event,
    LevelsRead,
    MirroredSale,
    Nothing,
    ProductsRead,
    ProductState,
    SalesRead,
    SaleToPost,
)
from gateway.pos.lightspeed_x import products
from gateway.pos.lightspeed_x.customers import customer_of, new_customer
from gateway.pos.lightspeed_x.dated import SALES, Tax, dated_sale, is_given_elsewhere
from gateway.pos.lightspeed_x.levels import count_in_event, count_of
from gateway.pos.lightspeed_x.posting import (
    PaymentType,
    register_for,
    register_sale,
    status_of,
)
from gateway.pos.lightspeed_x.returns import by_outlet, is_part
from gateway.pos.lightspeed_x.sales import Places, sale_of
from gateway.records import (
    Record,
    kept,
    listed,
    needed,
    nested,
    quarantine,
    text,
    whole,
)
from tillbridge.customer.v1 import customer_pb2
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2

PLATFORM = "lightspeed-x"
API = "/api/2.0"
REGISTER_SALES = "/api/register_sales"
WEBHOOK_TYPES = ("inventory.update", "product.update", "sale.update", "customer.update")

LIMIT_WINDOW_S = 300.0
LIMIT_ONE_REGISTER = 350
"""Calls per window with one register; the platform tells the limit with each answer."""

PAGE_SIZE = 200
PAGES_MAX = 100_000
OUTLETS_MAX = 1000
LOOKUP_S_MAX = 60.0
"""How long outlets, registers and payment types are taken to be as they were read."""

FAMILIES_READ_ONE_BY_ONE_MAX = 50
"""With more changed families than this, reading the whole catalog takes fewer calls."""

CUSTOMERS_REMEMBERED_MAX = 10_000
SNAPSHOT_TRIES_MAX = 3


log = structlog.get_logger()


class LightspeedX:
    """One account; a `PointOfSale`.

    Args:
        base_url: `https://<domain prefix>.retail.lightspeed.app`, without a path.
        token: the Bearer token.
    """

    def __init__(self, base_url: str, token: str) -> None:
        self._api = PlatformClient(
            PLATFORM,
            base_url,
            {"Authorization": f"Bearer {token}"},
            Bucket(LIMIT_ONE_REGISTER, LIMIT_WINDOW_S),
            _error_of,
        )
        self._lookups: dict[str, tuple[float, list[Record]]] = {}
        self._customer_ids: dict[str, str] = {}
        self._customer_lock = asyncio.Lock()

    async def close(self) -> None:
        """Closes the connections."""
        await self._api.close()

    async def change(self, event: Event) -> Change:
        """What a webhook says; read from the API where it does not say it.

        Raises:
            PlatformError: the platform cannot be asked.
            BadRecordError: the event does not say what it is about.
        """
        payload = dict(event.payload)
        match event.kind:
            case "inventory.update":
                count = count_in_event(payload)
                if count is not None:
                    return LevelsRead([count])
                return LevelsRead(await self.levels(needed(payload, "product_id")))
            case "product.update":
                product = await self.product(needed(payload, "id"))
                return ProductsRead([product] if product else [])
            case "sale.update":
                sale = _mirrored(payload, await self._places())
                return SalesRead([sale]) if sale else Nothing("it has no lines, or is our own")
            case "customer.update":
                customer = customer_of(payload)
                return CustomersRead([customer]) if customer else Nothing("it was deleted")
        return Nothing(f"nothing is kept of {event.kind}")

    async def product(self, item_id: str) -> ProductState | None:
        """The whole product that an item belongs to; None when it was never there."""
        row = await self._product_row(item_id)
        if row is None:
            return None
        rows = await self._family(products.family_id(row)) if products.has_relatives(row) else [row]
        return await self._product(products.family_id(row), rows)

    async def levels(self, item_id: str) -> list[inventory_pb2.Count]:
        """The levels of an item at every outlet."""
        path = f"{API}/products/{quote(item_id, safe='')}/inventory"
        try:
            answer = await self._api.json("GET", path, query={"page_size": OUTLETS_MAX})
        except PlatformError as error:
            if error.status == 404:
                return []
            raise
        return kept(PLATFORM, "level", listed(_object(answer), "data"), count_of)

    async def products_since(self, cursor: str) -> AsyncIterator[Batch[ProductState]]:
        """Products that changed behind the cursor, in the order of their versions, so that an
        import that breaks off goes on where it was.
        """
        rows = await self._product_rows(cursor)
        last = max((whole(row.get("version")) for row in rows), default=0)
        families = products.grouped(PLATFORM, rows)
        if cursor:
            families = await self._completed(families)
        prices = await self._prices()
        by_version = sorted(families.items(), key=lambda family: products.version_of(family[1]))
        for begin in range(0, len(by_version), PAGE_SIZE):
            part = by_version[begin : begin + PAGE_SIZE]
            found: list[ProductState] = []
            for family, rows in part:
                try:
                    found.append(products.product_of(family, rows, prices, PLATFORM))
                except (TypeError, ValueError) as error:
                    quarantine(PLATFORM, "product", family, str(error))
            # A family that was read anew may be newer than other changes that no list told yet.
            yield Batch(found, str(min(products.version_of(part[-1][1]), last)))

    async def levels_since(self, cursor: str) -> AsyncIterator[Batch[inventory_pb2.Count]]:
        """Levels that changed behind the cursor."""
        async for rows, after in self._pages("inventory", cursor):
            yield Batch(kept(PLATFORM, "level", rows, count_of), after)

    async def customers_since(self, cursor: str) -> AsyncIterator[Batch[customer_pb2.PosCustomer]]:
        """Customer profiles that changed behind the cursor."""
        async for rows, after in self._pages("customers", cursor):
            yield Batch(kept(PLATFORM, "customer", rows, customer_of), after)

    async def sales_since(self, cursor: str) -> AsyncIterator[Batch[MirroredSale]]:
        """Sales that changed behind the cursor."""
        async for rows, after in self._pages("sales", cursor):
            places = await self._places()
            yield Batch(kept(PLATFORM, "sale", rows, partial(_mirrored, places=places)), after)

    async def outlets(self) -> list[channels_pb2.Outlet]:
        """All outlets that are not deleted."""
        rows = await self._lookup("outlets", anew=True)
        return kept(
            PLATFORM,
            "outlet",
            rows,
            lambda row: channels_pb2.Outlet(
                outlet_id=needed(row, "id"), display_name=needed(row, "name")
            ),
        )

    async def registers(self) -> list[channels_pb2.Register]:
        """All registers that are not deleted."""
        rows = await self._lookup("registers", anew=True)
        return kept(
            PLATFORM,
            "register",
            rows,
            lambda row: channels_pb2.Register(
                register_id=needed(row, "id"),
                display_name=needed(row, "name"),
                outlet_id=needed(row, "outlet_id"),
            ),
        )

    async def post_sale(self, posting: SaleToPost) -> int:
        """Writes a sale, or its new state; returns the version that the platform gave it.

        A return that goes to several outlets is several sales there; the first's version counts.
        A sale that is there already, because it was posted before or because the answer got lost,
        is read first: the till may have closed it since, and its first version is what tells
        which levels include it.

        Raises:
            PlatformError: the platform refused, or cannot be asked.
            BadRecordError: the sale was voided there, or there is no payment type.
        """
        first, *others = by_outlet(posting)
        version = await self._post_sale(first)
        for other in others:
            await self._post_sale(other)
        return version

    async def _post_sale(self, posting: SaleToPost) -> int:
        known = await self._sale_row(posting.sale.sale_id) if posting.posted_before else None
        outlet_of = (await self._places()).outlet_of
        register_id = register_for(posting, outlet_of)
        body = register_sale(
            posting,
            status=status_of(posting, known),
            register_id=register_id,
            customer_id=await self._customer_id(posting),
            payment_types=await self._payment_types(),
        )
        if is_given_elsewhere(posting.sale, outlet_of.get(register_id, "")):
            written = await self._write_dated(posting, body, is_known=known is not None)
            told = nested(written, "_metadata").get("version")
        else:
            answer = await self._api.json("POST", REGISTER_SALES, body=body)
            told = nested(_object(answer), "register_sale").get("version")
        version = whole((known or {}).get("version") or told)
        if not version:
            version = whole((await self._sale_row(posting.sale.sale_id) or {}).get("version"))
        return version

    async def _write_dated(self, posting: SaleToPost, body: Record, *, is_known: bool) -> Record:
        """Writes a sale that several outlets give; returns it as the platform has it then."""
        users = await self._lookup("users")
        taxes = [
            Tax(text(row, "id"), text(row, "name"), row.get("is_default") is True)
            for row in await self._lookup("taxes")
        ]
        author_id = text(users[0], "id") if users else ""
        dated = dated_sale(posting, body, author_id=author_id, taxes=taxes)
        if is_known:
            path = f"{SALES}/{quote(dated.pop('id'), safe='')}"
            answer = await self._api.json("PUT", path, body=dated)
        else:
            # Sent again it may be refused, as that sale is there: it is read first then.
            answer = await self._api.json("POST", SALES, body=dated, repeatable=False)
        return nested(_object(answer), "data")

    async def subscribe(self, url: str) -> None:
        """Has webhooks of every type that is kept sent to this address."""
        for kind in WEBHOOK_TYPES:
            try:
                await self._api.json(
                    "POST",
                    f"{API}/webhooks",
                    body={"active": True, "type": kind, "url": url},
                )
            except PlatformError as error:
                if error.status != 409:  # it exists already
                    raise

    async def _product(self, family: str, rows: list[Record]) -> ProductState | None:
        try:
            return products.product_of(family, rows, await self._prices(), PLATFORM)
        except (TypeError, ValueError) as error:
            quarantine(PLATFORM, "product", family, str(error))
            return None

    async def _product_row(self, item_id: str) -> Record | None:
        return await self._row(f"{API}/products/{quote(item_id, safe='')}")

    async def _sale_row(self, sale_id: str) -> Record | None:
        return await self._row(f"{API}/sales/{quote(sale_id, safe='')}")

    async def _row(self, path: str) -> Record | None:
        try:
            answer = await self._api.json("GET", path)
        except PlatformError as error:
            if error.status == 404:
                return None
            raise
        row = nested(_object(answer), "data")
        return row or None

    async def _family(self, family: str) -> list[Record]:
        """All rows of a family, read at one moment: its parent did not change meanwhile."""
        parent = await self._product_row(family)
        for _ in range(SNAPSHOT_TRIES_MAX):
            query: dict[str, str | int] = {
                "type": "products",
                "variant_parent_id": family,
                "deleted": "true",
                "page_size": 1000,
            }
            answer = await self._api.json("GET", f"{API}/search", query=query)
            variants = listed(_object(answer), "data")
            before, parent = parent, await self._product_row(family)
            if (before or {}).get("version") == (parent or {}).get("version"):
                break
        return ([parent] if parent else []) + [v for v in variants if v.get("id") != family]

    async def _product_rows(self, cursor: str) -> list[Record]:
        rows: list[Record] = []
        async for page, _ in self._pages("products", cursor, True):
            rows += [products.slim(row) for row in page]
        return rows

    async def _completed(self, changed: dict[str, list[Record]]) -> dict[str, list[Record]]:
        """Changed families with those of their rows that did not change."""
        incomplete = [
            family for family, rows in changed.items() if any(map(products.has_relatives, rows))
        ]
        if len(incomplete) <= FAMILIES_READ_ONE_BY_ONE_MAX:
            read = {family: await self._family(family) for family in incomplete}
        else:
            read = products.grouped(PLATFORM, await self._product_rows(""))
        return {family: read.get(family) or rows for family, rows in changed.items()}

    async def _pages(
        self, resource: str, cursor: str, deleted: bool = False
    ) -> AsyncIterator[tuple[list[Record], str]]:
        """Pages of changed rows, each with the cursor behind it."""
        after = whole(cursor)
        for _ in range(PAGES_MAX):
            query: dict[str, str | int] = {"after": after, "page_size": PAGE_SIZE}
            if deleted:
                query["deleted"] = "true"
            answer = await self._api.json("GET", f"{API}/{resource}", query=query)
            rows = listed(_object(answer), "data")
            if not rows:
                return
            told = whole(nested(answer, "version").get("max"))
            behind = max(told, *(whole(row.get("version")) for row in rows), 0)
            if behind <= after:
                raise PlatformError(PLATFORM, f"{resource}: a page after {after} ends at {behind}")
            yield rows, str(behind)
            after = behind
        raise PlatformError(PLATFORM, f"{resource}: more than {PAGES_MAX} pages")

    async def _lookup(self, resource: str, *, anew: bool = False) -> list[Record]:
        """A short list that rarely changes; its live rows."""
        now = time.monotonic()
        known = self._lookups.get(resource)
        if known and known[0] > now and not anew:
            return known[1]
        rows: list[Record] = []
        async for page, _ in self._pages(resource, ""):
            rows += [row for row in page if not row.get("deleted_at")]
        self._lookups[resource] = (now + LOOKUP_S_MAX, rows)
        return rows

    async def _prices(self) -> products.Prices:
        outlets = await self._lookup("outlets")
        if not outlets:
            raise PlatformError(PLATFORM, "the account has no outlet")
        inclusive = text(outlets[0], "display_prices") == "inclusive"
        return products.Prices(text(outlets[0], "currency"), inclusive)

    async def _places(self) -> Places:
        registers = await self._lookup("registers")
        outlet_of = {text(row, "id"): text(row, "outlet_id") for row in registers}
        return Places(outlet_of, (await self._prices()).currency)

    async def _payment_types(self) -> list[PaymentType]:
        rows = await self._lookup("payment_types")
        return [
            PaymentType(text(row, "id"), text(row, "name"), text(row, "type_id")) for row in rows
        ]

    async def _customer_id(self, posting: SaleToPost) -> str:
        """The buyer's profile: known, found by its address, or made."""
        email = posting.email.strip().casefold()
        if posting.pos_customer_id or not email:
            return posting.pos_customer_id
        async with self._customer_lock:
            known = self._customer_ids.get(email)
            if known is None:
                known = await self._find_customer(posting.email.strip()) or (
                    await self._make_customer(posting)
                )
            if len(self._customer_ids) >= CUSTOMERS_REMEMBERED_MAX:
                self._customer_ids.clear()
            self._customer_ids[email] = known
            return known

    async def _find_customer(self, email: str) -> str:
        query: dict[str, str | int] = {"type": "customers", "email": email}
        answer = await self._api.json("GET", f"{API}/search", query=query)
        live = [
            customer
            for customer in kept(PLATFORM, "customer", listed(_object(answer), "data"), customer_of)
            if customer.email.casefold() == email.casefold()
        ]
        return live[0].pos_customer_id if live else ""

    async def _make_customer(self, posting: SaleToPost) -> str:
        answer = await self._api.json(
            "POST", f"{API}/customers", body=new_customer(posting), repeatable=False
        )
        return text(nested(_object(answer), "data"), "id")


def _mirrored(row: Record, places: Places) -> MirroredSale | None:
    """A sale of the platform's own history; None where it says nothing, or is part of ours."""
    return None if is_part(row) else sale_of(row, places)


def _object(answer: Any) -> Record:
    """An answer that must be an object; anything else holds nothing."""
    return answer if isinstance(answer, dict) else {}


def _error_of(body: Any) -> tuple[str, str]:
    """The platform has no code catalog; it answers with one of several shapes."""
    if not isinstance(body, dict):
        return "", str(body)[:200]
    error = body.get("error")
    if isinstance(error, dict):
        return text(error, "code"), text(error, "message")
    return "", str(error or body.get("errors") or body)[:500]
