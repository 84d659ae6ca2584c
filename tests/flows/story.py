"""The story: a till and a store kept in step, told through public interfaces only.

Each step says what it expects and what it sees. `make demo` prints it; `test_story.py` asserts it.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from gateway.sandbox import shop
from gateway.sandbox.connect import connect
from gateway.sandbox.shop_products import FAMILIES
from tests.flows.stack import Stack

MAIN, HARBOUR = shop.OUTLET_MAIN_ID, shop.OUTLET_HARBOUR_ID
MUG = shop.product_id("MUG")
CHART = shop.product_id("CHART")
WITHIN_S = 15.0
"""How long anybody would wait for a step on a machine that has time for it."""
PATIENCE_S = 90.0
"""How long a test waits: it may share the machine, and then a slow step is still a right one."""
STORE_FIELDS = {
    *("id", "sku", "name", "description", "price", "quantity", "unlimited", "enabled"),
    *("categories", "categoryIds", "weight", "dimensions", "options", "combinations"),
    *("attributes", "media", "externalReferenceId"),
}
"""The fields of the store that CAT-03 fills, under the store's names for them."""
POS_ONLY = {
    *("handle", "supplier", "supplier_code", "supplierCode", "supply_price", "costPrice"),
    *("reorder_point", "reorderPoint", "reorder_amount", "tax", "tags", "tag_ids"),
}
"""The fields that never leave the point of sale (CAT-04), under both sides' names for them."""

AT_MAIN = {
    "shippingMethodName": "Pickup at Main",
    "fulfillmentType": "PICKUP",
    "isPickup": True,
    "shippingRate": 0,
    "locationId": MAIN,
}
BY_POST = {"shippingMethodName": "Post", "fulfillmentType": "SHIPPING", "shippingRate": 0}
"""How goods reach their buyer, as the store has it."""

Look = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Sight:
    """One thing that was expected, and what was seen."""

    step: str
    what: str
    expected: Any
    seen: Any

    @property
    def fits(self) -> bool:
        """Whether it came as expected."""
        return bool(self.expected == self.seen)


@dataclass(slots=True)
class Story:
    """The story's thread: the stack it plays on, and what was seen so far."""

    stack: Stack
    tell: Callable[[Sight], None] = lambda _sight: None
    sights: list[Sight] = field(default_factory=list)
    step: str = ""
    channel_id: str = ""
    within_s: float = WITHIN_S

    async def expect(self, what: str, expected: Any, look: Look) -> None:
        """Looks until it sees what is expected, or for as long as anybody would wait."""
        deadline = time.monotonic() + self.within_s
        while True:
            try:
                seen = await look()
            except (httpx.HTTPError, KeyError, IndexError) as error:
                seen = f"{type(error).__name__}: {error}"
            if seen == expected or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.03)
        self.sights.append(Sight(self.step, what, expected, seen))
        self.tell(self.sights[-1])

    async def play(self) -> None:
        """All steps, in order."""
        for step in (
            self.a_merchant_connects_a_store,
            self.the_catalog_arrives,
            self.stock_is_counted,
            self.a_till_sells_one,
            self.an_order_is_placed_unpaid,
            self.the_order_is_paid,
            self.the_same_buyer_comes_again,
            self.an_outlet_leaves_and_returns,
            self.an_order_is_split_over_outlets,
            self.a_pickup_is_paid_late,
            self.a_buyer_changes_his_mind,
            self.goods_come_back,
            self.a_service_is_killed_in_the_rush,
        ):
            self.step = (step.__doc__ or "").split("\n", maxsplit=1)[0]
            await step()

    # What people do, each through the interface that they would use.

    async def put_count(self, product_id: str, outlet_id: str, quantity: int) -> None:
        """Somebody counts the shelf, in the point of sale."""
        level = {"outlet_id": outlet_id, "current_amount": quantity}
        answer = await self.stack.pos.put(
            f"/api/2.1/products/{product_id}", json={"details": {"inventory": [level]}}
        )
        answer.raise_for_status()

    async def place_order(
        self,
        lines: Sequence[tuple[str, int]],
        *,
        email: str,
        name: str,
        status: str = "AWAITING_PAYMENT",
        shipped: bool = False,
    ) -> str:
        """A buyer orders in the store, to pick up at Main or sent by post. Returns the order's
        public id.
        """
        items = [await self._order_item(sku, quantity) for sku, quantity in lines]
        total = sum(item["price"] * item["quantity"] for item in items)
        answer = await self.stack.store.post(
            "orders",
            json={
                "email": email,
                "subtotal": total,
                "total": total,
                "paymentMethod": "Pay at pickup",
                "paymentStatus": status,
                "fulfillmentStatus": "AWAITING_PROCESSING",
                "billingPerson": {"name": name},
                "items": items,
                "shippingOption": BY_POST if shipped else AT_MAIN,
            },
        )
        answer.raise_for_status()
        return str(answer.json()["orderid"])

    async def _order_item(self, sku: str, quantity: int) -> dict[str, Any]:
        product = await self.store_product(sku=sku)
        return {
            "productId": product["id"],
            "sku": sku,
            "name": product["name"],
            "price": product["price"],
            "quantity": quantity,
        }

    async def deliver_again(self, order_id: str) -> list[int]:
        """The store's webhook of an order comes twice more, both at once; the status codes."""
        path = f"/webhooks/ecwid/{self.channel_id}?eventtype=order.created"
        event_id, created = f"again-{order_id}", int(time.time())
        body = {
            "eventId": event_id,
            "eventCreated": created,
            "storeId": self.stack.sandbox.sandbox_store_id,
            "entityId": 1,
            "eventType": "order.created",
            "data": {"orderId": order_id},
        }
        secret = self.stack.sandbox.sandbox_store_secret.encode()
        mac = hmac.new(secret, f"{created}.{event_id}".encode(), hashlib.sha256)
        headers = {"X-Ecwid-Webhook-Signature": base64.b64encode(mac.digest()).decode()}
        async with httpx.AsyncClient(base_url=self.stack.gateway_url, timeout=30) as outside:
            answers = await asyncio.gather(
                *(outside.post(path, json=body, headers=headers) for _ in range(2))
            )
        return [answer.status_code for answer in answers]

    # What people see.

    async def store_product(self, *, sku: str = "", product_id: str = "") -> dict[str, Any]:
        """A product of the store, by the SKU or by the point of sale's id of its family."""
        wanted = {"sku": sku} if sku else {"externalReferenceId": product_id}
        answer = await self.stack.store.get("products", params=wanted)
        found: dict[str, Any] = answer.raise_for_status().json()["items"][0]
        return found

    async def store_quantity(self, sku: str) -> int:
        """The quantity that the store shows."""
        return int((await self.store_product(sku=sku))["quantity"])

    async def pos_level(self, product_id: str, outlet_id: str) -> float:
        """The level that the point of sale has."""
        answer = await self.stack.pos.get(f"/api/2.0/products/{product_id}/inventory")
        rows = answer.raise_for_status().json()["data"]
        return float(next(row["inventory_level"] for row in rows if row["outlet_id"] == outlet_id))

    async def held(self, item_id: str) -> list[str]:
        """What is held of an item at each outlet."""
        path = f"/v1/channels/{self.channel_id}/onlineStock/{item_id}:explain"
        return [term["reserved"] for term in (await self.stack.get(path))["terms"]]

    async def pos_sales(self, order_id: str = "") -> list[dict[str, Any]]:
        """The online sales that the point of sale has, of one order or of all."""
        found: list[dict[str, Any]] = []
        after = 0
        while True:
            answer = await self.stack.pos.get("/api/2.0/sales", params={"after": after})
            page = answer.raise_for_status().json()
            if not page["data"]:
                return found
            after = page["version"]["max"]
            found += [
                sale
                for sale in page["data"]
                if sale["source"] == "ECOMMERCE" and order_id in {"", sale["source_id"]}
            ]

    async def order(self, order_id: str) -> dict[str, Any]:
        """An order as Tillbridge has it."""
        found = await self.stack.get(f"/v1/channels/{self.channel_id}/orders/{order_id}")
        answer: dict[str, Any] = found["order"]
        return answer

    async def sale(self, order_id: str) -> dict[str, Any]:
        """The sale of an order as Tillbridge has it."""
        sale_id = (await self.order(order_id))["saleId"]
        found: dict[str, Any] = (await self.stack.get(f"/v1/sales/{sale_id}"))["sale"]
        return found

    async def store_order(self, order_id: str) -> dict[str, Any]:
        """An order as the store has it."""
        found: dict[str, Any] = (await self.stack.store.get(f"orders/{order_id}")).json()
        return found

    async def fulfillments(self, order_id: str) -> dict[str, dict[str, Any]]:
        """What each outlet has to hand over for an order."""
        found = await self.everything("/v1/fulfillments", "fulfillments", orderId=order_id)
        return {one["outletId"]: one for one in found}

    async def hand_over(
        self, order_id: str, outlet_id: str, request_id: str, **more: Any
    ) -> tuple[int, str]:
        """An outlet hands over what it has to. Returns the status, and the reason of a refusal."""
        one = (await self.fulfillments(order_id))[outlet_id]
        answer = await self.stack.api.post(
            f"/v1/fulfillments/{one['fulfillmentId']}:complete",
            json={"version": one["version"], **more},
            headers={"Idempotency-Key": request_id},
        )
        refusal = answer.json().get("error")
        return answer.status_code, refusal["details"][0]["reason"] if refusal else ""

    async def everything(self, path: str, name: str, **params: Any) -> list[dict[str, Any]]:
        """All pages of a list of Tillbridge's."""
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            page = await self.stack.get(path, pageSize=500, pageToken=token, **params)
            found += page[name]
            token = page["nextPageToken"]
            if not token:
                return found

    # The steps.

    async def a_merchant_connects_a_store(self) -> None:
        """0. A merchant with outlets Main and Harbour connects a store."""
        self.channel_id = await connect(self.stack.api, self.stack.sandbox)

        async def connected() -> list[str]:
            found = await self.stack.get(f"/v1/channels/{self.channel_id}")
            return list(found["channel"]["connectedOutletIds"])

        await self.expect("outlets that feed the channel", [MAIN, HARBOUR], connected)

    async def the_catalog_arrives(self) -> None:
        """1. The catalog arrives; nothing is sold online before it is switched on."""
        families = len(FAMILIES)

        async def listings() -> tuple[int, int]:
            found = await self.everything(f"/v1/channels/{self.channel_id}/listings", "listings")
            return len(found), sum(listing["sellOnline"] for listing in found)

        await self.expect("listings, and how many are sold online", (families, 0), listings)

        async def in_store() -> int:
            return int((await self.stack.store.get("products")).json()["total"])

        await self.expect("products in the store", 0, in_store)
        await self.stack.post(
            f"/v1/channels/{self.channel_id}/listings:setSellOnline",
            "activate",
            {"sellOnline": True},
        )
        await self.expect("products in the store, activated", families, in_store)
        await self.expect("fields of CAT-03 that the store misses", [], self._missing_fields)
        await self.expect("fields of CAT-04 that reached the store", [], self._leaked_fields)

        async def weights() -> list[float]:
            mug, jacket = (
                await self.store_product(sku="MUG"),
                await self.store_product(product_id=shop.product_id("JKT-S-OLV-REG")),
            )
            return [round(product["weight"], 4) for product in (mug, jacket)]

        await self.expect("350 g and 2.4 lb in kg", [0.35, 1.0886], weights)

        async def variants() -> int:
            tee = await self.store_product(product_id=shop.product_id("TEE-S-NAVY"))
            return len(tee["combinations"])

        await self.expect("variants of the tee", 6, variants)

    async def _missing_fields(self) -> list[str]:
        tee = await self.store_product(product_id=shop.product_id("TEE-S-NAVY"))
        mug = await self.store_product(sku="MUG")
        return sorted(
            name
            for name in STORE_FIELDS
            if not tee.get(name) and not mug.get(name) and name not in {"unlimited", "quantity"}
        )

    async def _leaked_fields(self) -> list[str]:
        """Names of POS-only fields in anything that the store was ever told."""
        base = f"http://127.0.0.1:{self.stack.ports['store']}"
        told = (await self.stack.store.get(f"{base}/sandbox/log")).json()["entries"]
        written = [entry for entry in told if entry["method"] in {"POST", "PUT"}]
        suppliers = {family.supplier_code for family in FAMILIES}
        text = json.dumps(written)
        names = set().union(*(_keys(entry["body"]) for entry in written))
        return sorted((names & POS_ONLY) | {code for code in suppliers if code in text})

    async def stock_is_counted(self) -> None:
        """2. Five mugs at Main, three at Harbour: the store shows eight."""
        await self.put_count(MUG, MAIN, 5)
        await self.put_count(MUG, HARBOUR, 3)
        await self.expect("mugs in the store", 8, lambda: self.store_quantity("MUG"))

    async def a_till_sells_one(self) -> None:
        """3. A till at Harbour sells one: the store shows seven, and no order appears."""
        sold = {"product_id": MUG, "quantity": 1, "price": 20, "tax": 3}
        paid = {"retailer_payment_type_id": shop.PAYMENT_CASH_ID, "amount": 23}
        answer = await self.stack.pos.post(
            "/api/register_sales",
            json={
                "register_id": shop.REGISTER_HARBOUR_ID,
                "status": "CLOSED",
                "register_sale_products": [sold],
                "register_sale_payments": [paid],
            },
        )
        answer.raise_for_status()
        await self.expect("mugs in the store", 7, lambda: self.store_quantity("MUG"))

        async def orders() -> tuple[int, int]:
            store = (await self.stack.store.get("orders")).json()["total"]
            return store, len(await self.everything("/v1/orders", "orders"))

        await self.expect("orders in the store and here", (0, 0), orders)

        async def till_sales() -> int:
            return len(await self.everything("/v1/sales", "sales", origin="SALE_ORIGIN_TILL"))

        await self.expect("sales of tills in the history", 1, till_sales)

    async def an_order_is_placed_unpaid(self) -> None:
        """4. Two mugs are ordered, unpaid, to pick up at Main; the webhook comes three times."""
        order_id = await self.place_order(
            [("MUG", 2)], email="jo@example.com", name="Jo Doe", status="AWAITING_PAYMENT"
        )
        self.first_order = order_id
        again = await self.deliver_again(order_id)
        self.sights.append(Sight(self.step, "answers to the repeats", [200, 200], again))
        self.tell(self.sights[-1])

        async def here() -> dict[str, Any]:
            sale = await self.sale(order_id)
            fulfillments = await self.everything(
                "/v1/fulfillments", "fulfillments", orderId=order_id
            )
            buyers = await self.everything("/v1/customers", "customers", email="jo@example.com")
            online = await self.everything("/v1/sales", "sales", origin="SALE_ORIGIN_ONLINE")
            return {
                "state": (await self.order(order_id))["state"],
                "sales": len(online),
                "paid": sale["paid"],
                "fulfilled at": [one["outletId"] for one in fulfillments],
                "customers": [one["name"] for one in buyers],
            }

        await self.expect(
            "one sale, unpaid; one fulfillment at Main; one customer",
            {
                "state": "ORDER_STATE_POSTED",
                "sales": 1,
                "paid": False,
                "fulfilled at": [MAIN],
                "customers": ["Jo Doe"],
            },
            here,
        )
        await self.expect("mugs in the store", 5, lambda: self.store_quantity("MUG"))
        await self.expect("mugs at Main in the POS", 3.0, lambda: self.pos_level(MUG, MAIN))

        async def at_pos() -> list[str]:
            return [sale["status"] for sale in await self.pos_sales(order_id)]

        await self.expect("its sales in the POS", ["AWAITING_PICKUP"], at_pos)

    first_order: str = ""

    async def the_order_is_paid(self) -> None:
        """5. It is paid: the processor's name stands in the sales history, once."""
        paid = {"paymentStatus": "PAID", "paymentMethod": "Card", "paymentModule": "Stripe"}
        await self.stack.store.put(f"orders/{self.first_order}", json=paid)

        async def payments() -> tuple[bool, list[str]]:
            sale = await self.sale(self.first_order)
            return sale["paid"], [payment["method"] for payment in sale["payments"]]

        await self.expect("paid, and by whom", (True, ["Stripe"]), payments)

        async def report() -> list[tuple[str, int]]:
            sums = (await self.stack.get("/v1/paymentReport"))["sums"]
            return [(one["method"], one["count"]) for one in sums if one["method"] == "Stripe"]

        await self.expect("in the payment report", [("Stripe", 1)], report)

        async def at_pos() -> list[int]:
            return [len(sale["payments"]) for sale in await self.pos_sales(self.first_order)]

        await self.expect("payments of its sale in the POS", [1], at_pos)
        await self.expect("mugs in the store", 5, lambda: self.store_quantity("MUG"))

    async def the_same_buyer_comes_again(self) -> None:
        """6. The same buyer orders under another name and in capitals: same customer, same name."""
        order_id = await self.place_order(
            [("TEA", 1)], email=" JO@EXAMPLE.COM ".strip(), name="Johanna D.", status="PAID"
        )

        async def customer() -> tuple[str, bool]:
            first, second = await self.order(self.first_order), await self.order(order_id)
            found = await self.stack.get(f"/v1/customers/{second['customerId']}")
            return found["customer"]["name"], first["customerId"] == second["customerId"]

        await self.expect("its customer", ("Jo Doe", True), customer)

    async def an_outlet_leaves_and_returns(self) -> None:
        """7. Harbour is disconnected and comes back; Main cannot be disconnected."""
        path = f"/v1/channels/{self.channel_id}:setConnectedOutlets"
        await self.stack.post(path, "without-harbour", {"outletIds": [MAIN]})
        await self.expect("mugs in the store", 3, lambda: self.store_quantity("MUG"))

        async def chart() -> tuple[int, bool, str]:
            listed = await self.store_product(sku="CHART")
            found = await self.stack.get(f"/v1/channels/{self.channel_id}/onlineStock/{CHART}")
            return listed["quantity"], listed["inStock"], found["onlineStock"]["label"]

        await self.expect("what only Harbour had", (0, False, "Sold out"), chart)

        async def refusal() -> tuple[int, str, bool]:
            answer = await self.stack.api.post(
                path, json={"outletIds": [HARBOUR]}, headers={"Idempotency-Key": "without-main"}
            )
            error = answer.json()["error"]
            reason = error["details"][0]["reason"]
            return answer.status_code, reason, "SetRegister" in error["message"]

        await self.expect(
            "disconnecting Main is refused with the way out",
            (400, "OUTLET_LOCKED_BY_REGISTER", True),
            refusal,
        )
        await self.stack.post(path, "with-harbour", {"outletIds": [MAIN, HARBOUR]})
        await self.expect("mugs in the store", 5, lambda: self.store_quantity("MUG"))
        await self.expect("what only Harbour had", (9, True, ""), chart)

    async def an_order_is_split_over_outlets(self) -> None:
        """8. Four mugs are ordered where no outlet has four: Main sends three, Harbour one."""
        order_id = await self.place_order(
            [("MUG", 4)], email="ann@example.com", name="Ann Lee", status="PAID", shipped=True
        )

        async def parts() -> dict[str, str]:
            found = await self.fulfillments(order_id)
            return {outlet_id: one["lines"][0]["quantity"] for outlet_id, one in found.items()}

        await self.expect("who hands over how many", {MAIN: "3", HARBOUR: "1"}, parts)
        await self.expect("mugs in the store", 1, lambda: self.store_quantity("MUG"))

        async def shelves() -> tuple[float, float]:
            return await self.pos_level(MUG, MAIN), await self.pos_level(MUG, HARBOUR)

        await self.expect("mugs on the shelves of the POS", (0, 1), shelves)
        await self.expect("mugs held at Main and Harbour", ["0", "0"], lambda: self.held(MUG))
        await self.hand_over(order_id, MAIN, "main-sends", trackingNumber="POST-1", carrier="Post")

        async def here() -> tuple[str, str]:
            account = (await self.order(order_id))["lineAccounts"][0]
            return (await self.sale(order_id))["state"], account["fulfilled"]

        await self.expect("its sale, and how many are sent", ("SALE_STATE_OPEN", "3"), here)
        await self.hand_over(order_id, HARBOUR, "harbour-sends")
        await self.expect("its sale then", ("SALE_STATE_COMPLETED", "4"), here)
        await self.expect("mugs on the shelves of the POS", (0, 1), shelves)

        async def told() -> tuple[str, str]:
            found = await self.store_order(order_id)
            return found["fulfillmentStatus"], found["trackingNumber"]

        await self.expect("what the store tells the buyer", ("SHIPPED", "POST-1"), told)

    async def a_pickup_is_paid_late(self) -> None:
        """9. Nobody takes a pickup home unpaid; paid at the counter, it is handed over."""
        order_id = await self.place_order([("TEA", 2)], email="bo@example.com", name="Bo Ek")

        async def state() -> tuple[str, bool]:
            sale = await self.sale(order_id)
            return sale["state"], sale["paid"]

        await self.expect("its sale", ("SALE_STATE_OPEN", False), state)

        async def refusal() -> tuple[int, str]:
            return await self.hand_over(order_id, MAIN, f"unpaid-{order_id}")

        await self.expect("handing it over", (400, "SALE_UNPAID"), refusal)
        paid = {"paymentStatus": "PAID", "paymentMethod": "Card", "paymentModule": "Stripe"}
        await self.stack.store.put(f"orders/{order_id}", json=paid)
        await self.expect("its sale, paid later", ("SALE_STATE_OPEN", True), state)
        await self.hand_over(order_id, MAIN, f"paid-{order_id}")
        await self.expect("handed over", ("SALE_STATE_COMPLETED", True), state)

        async def at_pos() -> list[tuple[str, int]]:
            return [
                (sale["state"], len(sale["payments"])) for sale in await self.pos_sales(order_id)
            ]

        await self.expect("its sale in the POS, and payments", [("closed", 1)], at_pos)
        self.handed_over = order_id

    handed_over: str = ""

    async def a_buyer_changes_his_mind(self) -> None:
        """10. An order is canceled in the store: its mug is back on the shelf, its sale void."""
        order_id = await self.place_order(
            [("MUG", 1)], email="cy@example.com", name="Cy Po", shipped=True
        )
        await self.expect("mugs in the store", 0, lambda: self.store_quantity("MUG"))

        async def at_pos() -> list[str]:
            return [sale["status"] for sale in await self.pos_sales(order_id)]

        await self.expect("its sales in the POS", ["AWAITING_DISPATCH"], at_pos)
        await self.stack.store.put(f"orders/{order_id}", json={"paymentStatus": "CANCELLED"})
        await self.expect("its sales in the POS", ["VOIDED"], at_pos)

        async def here() -> tuple[str, str]:
            found = await self.order(order_id)
            return found["state"], (await self.sale(order_id))["state"]

        await self.expect(
            "the order and its sale", ("ORDER_STATE_CANCELED", "SALE_STATE_VOIDED"), here
        )
        await self.expect("mugs in the store", 1, lambda: self.store_quantity("MUG"))

    async def goods_come_back(self) -> None:
        """11. Two teas come back and are paid back, one of them at the till: each once."""
        order_id = self.handed_over
        tea = shop.product_id("TEA")
        before = await self.pos_level(tea, MAIN)
        line = (await self.order(order_id))["lineAccounts"][0]["lineId"]
        body = {
            "refundId": "one-tea",
            "lines": [{"lineId": line, "quantity": "1"}],
            "outletId": MAIN,
            "amount": {"currencyCode": "NZD", "units": "5"},
        }
        path = f"/v1/channels/{self.channel_id}/orders/{order_id}:refund"
        for request_id in ("tea-back", "tea-back", "tea-back-again"):
            await self.stack.post(path, request_id, body)

        async def here() -> tuple[str, str, str]:
            found = await self.order(order_id)
            account = found["lineAccounts"][0]
            return account["returned"], account["restocked"], found["refunded"]["units"]

        await self.expect("returned, restocked, given back", ("1", "1", "5"), here)

        async def at_pos() -> tuple[int, float]:
            returns = [sale for sale in await self.pos_sales(order_id) if sale["return_for"]]
            return len(returns), await self.pos_level(tea, MAIN)

        await self.expect("returns and teas in the POS", (1, before + 1), at_pos)

        async def status() -> str:
            return str((await self.store_order(order_id))["paymentStatus"])

        await self.expect("what the store tells the buyer", "PARTIALLY_REFUNDED", status)
        paid = (await self.order(order_id))["paid"]
        await self._return_at_the_till(order_id, int(paid["units"]) + paid["nanos"] / 1e9 - 5)
        await self.expect("returned, restocked, given back", ("2", "2", paid["units"]), here)
        await self.expect("returns and teas in the POS", (1, before + 2), at_pos)
        await self.expect("what the store tells the buyer", "REFUNDED", status)

    async def _return_at_the_till(self, order_id: str, amount: float) -> None:
        """Somebody at the register takes one piece of an order back, for so much in cash."""
        [sale] = [one for one in await self.pos_sales(order_id) if not one["return_for"]]
        answer = await self.stack.pos.put(f"/api/2.0/sales/{sale['id']}/actions/return")
        begun = answer.raise_for_status().json()["data"]
        [line] = begun["line_items"]
        cash = {"retailer_payment_type_id": shop.PAYMENT_CASH_ID, "amount": -amount}
        answer = await self.stack.pos.post(
            "/api/register_sales",
            json={
                "id": begun["id"],
                "register_id": begun["register_id"],
                "return_for": sale["id"],
                "status": "CLOSED",
                "register_sale_products": [
                    {name: line[name] for name in ("product_id", "price", "tax")} | {"quantity": -1}
                ],
                "register_sale_payments": [cash],
            },
        )
        answer.raise_for_status()

    async def a_service_is_killed_in_the_rush(self) -> None:
        """12. Inventory is killed while 200 orders and counts stream in: none lost or doubled."""
        await self.put_count(shop.product_id("SKILLET"), MAIN, 500)
        await self.expect("skillets in the store", 501, lambda: self.store_quantity("SKILLET"))
        sales_before = len(await self.pos_sales())
        rush = asyncio.create_task(self._rush())
        await asyncio.sleep(0.3)
        self.stack.kill("inventory")
        await asyncio.sleep(0.7)
        self.stack.kill("inventory")
        orders = await rush

        async def posted() -> tuple[int, int]:
            states = await self.everything("/v1/orders", "orders")
            done = {
                one["document"]["orderId"] for one in states if one["state"] == "ORDER_STATE_POSTED"
            }
            return len(done & set(orders)), len(await self.pos_sales()) - sales_before

        await self.expect("orders posted, sales in the POS", (len(orders),) * 2, posted)
        left = 500 - len(orders)
        skillet = shop.product_id("SKILLET")
        await self.expect(
            "skillets at Main in the POS", float(left), lambda: self.pos_level(skillet, MAIN)
        )
        await self.expect("figures that do not add up", [], self._disagreements)

    async def _rush(self) -> list[str]:
        """100 orders and 100 counts, eight at a time. Returns the orders' ids."""
        gate = asyncio.Semaphore(8)

        async def order(number: int) -> str:
            async with gate:
                email = f"buyer-{number % 40}@example.com"
                return await self.place_order([("SKILLET", 1)], email=email, name="", status="PAID")

        async def count(number: int) -> str:
            async with gate:
                outlet_id = (MAIN, HARBOUR)[number % 2]
                await self.put_count(shop.product_id("KETTLE"), outlet_id, number)
                return ""

        both = [work(number) for number in range(100) for work in (order, count)]
        return [order_id for order_id in await asyncio.gather(*both) if order_id]

    async def _disagreements(self) -> list[str]:
        """Where ledger, level, point of sale, online stock and store do not say the same."""
        found: list[str] = []
        levels = await self.everything("/v1/stock", "levels")
        for level in levels:
            place = f"{level['itemId']} at {level['outletId']}"
            if level["reserved"] != "0":
                found.append(f"{place}: {level['reserved']} still reserved")
            if float(level["onHand"]) != await self.pos_level(level["itemId"], level["outletId"]):
                found.append(f"{place}: {level['onHand']} here, not so in the POS")
        for item_id in {level["itemId"] for level in levels}:
            found += await self._unsound_ledger(item_id, levels)
        path = f"/v1/channels/{self.channel_id}"
        state = "ORDER_DRIFT_STATE_OPEN"
        found += [
            f"order {one['orderId']}: {one['ownValue']} here, {one['storeValue']} there"
            for one in await self.everything(f"{path}/orderDrift", "drift", state=state)
        ]
        online = await self.everything(f"{path}/onlineStock", "onlineStock")
        shown = await self._shown_in_store()
        for figure in online:
            free = sum(
                max(0.0, float(level["available"]))
                for level in levels
                if level["itemId"] == figure["itemId"]
            )
            seen = (int(free), shown.get(figure["itemId"]))
            if not figure["unlimited"] and seen != (int(figure["quantity"]),) * 2:
                found.append(f"{figure['itemId']}: {figure['quantity']} online, {seen} expected")
        return found

    async def _unsound_ledger(self, item_id: str, levels: Sequence[Mapping[str, Any]]) -> list[str]:
        movements = await self.everything("/v1/movements", "movements", itemId=item_id)
        sums: dict[str, float] = {}
        for movement in movements:
            outlet_id = movement["outletId"]
            sums[outlet_id] = sums.get(outlet_id, 0) + float(movement["quantity"])
        return [
            f"{item_id}: movements at {level['outletId']} add up to {sums.get(level['outletId'])}"
            for level in levels
            if level["itemId"] == item_id
            and abs(sums.get(level["outletId"], 0) - float(level["onHand"])) > 0.0005
        ]

    async def _shown_in_store(self) -> dict[str, int]:
        """The quantity that the store shows, by the point of sale's id of the item."""
        products = (await self.stack.store.get("products")).json()["items"]
        shown: dict[str, int] = {}
        for product in products:
            for one in product.get("combinations") or [product]:
                if not one.get("unlimited"):
                    shown[one["externalReferenceId"]] = one["quantity"]
        return shown


def _keys(value: Any) -> set[str]:
    """All field names anywhere in a JSON value, given as text or parsed."""
    if isinstance(value, str):
        try:
            return _keys(json.loads(value)) if value.startswith(("{", "[")) else set()
        except ValueError:
            return set()
    if isinstance(value, Mapping):
        return set(value).union(*(_keys(one) for one in value.values()))
    if isinstance(value, list):
        return set().union(*(_keys(one) for one in value))
    return set()
