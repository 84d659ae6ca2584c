"""Who asks for what while a process dies, and what has to be true in the end."""

from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select

from gateway.sandbox import shop
from services.chassis.database import FORGET_MAX
from services.chassis.engines import open_engine
from services.chassis.pruning import PRUNE_MAX
from services.chassis.statements import append
from services.customer.store import PLUMBING as CUSTOMER
from tests.chaos.crashes import HOME, Story, World, adjustment, euros, products
from tests.chaos.fleet import wait_for
from tests.flows.stack import MERCHANT, token
from tillbridge.catalog.v1 import catalog_pb2, imports_pb2
from tillbridge.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from tillbridge.catalog.v1.imports_pb2_grpc import ImportServiceStub
from tillbridge.inventory.v1 import inventory_pb2
from tillbridge.inventory.v1.inventory_pb2_grpc import InventoryServiceStub
from tillbridge.order.v1 import order_pb2
from tillbridge.order.v1.order_pb2_grpc import OrderServiceStub

STOCK = 1000
OLD = timedelta(days=60)
SETTLED_S = 60.0


class Adjusting(Story):
    """Stock is adjusted; it is not when the process dies."""

    committed = False
    """Whether it shall be in the ledger when the process dies."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.found: list[bool] = []
        """Whether it was, at each try that was not answered."""

    def prepare(self) -> None:
        """An item, known to the inventory: it has a movement."""
        self.world.make(self.name, stock=3)

    def act(self, request_id: str) -> None:
        """Three more."""
        self.found.clear()
        request = adjustment(request_id, [self.name], 3)
        self.fleet.ask(
            "inventory", InventoryServiceStub, request, lambda: self.look_for(request_id)
        )

    def look_for(self, request_id: str) -> None:
        """Looks into the ledger."""
        rows = self.world.rows("inventory", "SELECT request_id FROM movements")
        self.found.append((request_id,) in rows)

    def was_hit(self) -> bool:
        """Whether the ledger had it, or not, when the call was not answered."""
        return self.found[:1] == [self.committed]

    def check(self) -> None:
        """Level, ledger and feed tell of each adjustment once."""
        count = self.acts + 1
        assert self.world.level(self.name) == (3 * count, 0)
        found = self.world.movements(self.name)
        assert Tally(one.request_id for one in found).most_common(1)[0][1] == 1
        assert [float(one.quantity) for one in found] == [3] * count
        assert self.world.figures(self.name) == [(n, 3 * n) for n in range(1, count + 1)]


class AdjustingUnheard(Adjusting):
    """Stock is adjusted, and whoever asked for it does not hear."""

    committed = True


class AdjustingOverHttp(AdjustingUnheard):
    """Stock is adjusted through the gateway, which dies before it says so."""

    process = "gateway"

    def act(self, request_id: str) -> None:
        """Three more."""
        line = {"itemId": self.name, "outletId": HOME, "quantity": "3"}
        body = {"kind": "MOVEMENT_KIND_ADJUSTMENT", "lines": [line], "cause": "by hand"}
        api = self.world.http("http", token())

        def attempt() -> bool:
            try:
                answer = api.post(
                    "/v1/stock:adjust", json=body, headers={"Idempotency-Key": request_id}
                )
            except httpx.HTTPError:
                return False
            return answer.status_code == httpx.codes.OK

        self.found.clear()
        self.fleet.insist(attempt, "answer over HTTP", lambda: self.look_for(request_id))


class Learning(Story):
    """The inventory hears of a new product."""

    def act(self, request_id: str) -> None:
        """One more product."""
        self.fleet.ask("catalog", CatalogServiceStub, products(request_id, [request_id]))

    def check(self) -> None:
        """Every product is known, and has the stock that it is then given."""
        items = [f"{self.name}/{number}" for number in range(self.acts)]
        for item in items:
            request = adjustment(f"check {item}", [item], 1)
            self.fleet.ask("inventory", InventoryServiceStub, request)
            assert self.world.level(item) == (1, 0)


class Reserving(Story):
    """A cart holds stock, and is left alone."""

    def prepare(self) -> None:
        """Something to hold."""
        self.world.make(self.name, stock=STOCK)

    def act(self, request_id: str) -> None:
        """A cart for a second."""
        line = inventory_pb2.ReservationLine(line_id="1", item_id=self.name, quantity="2")
        request = inventory_pb2.ReserveStockRequest(
            request_id=request_id,
            channel_id=self.world.channel_id,
            lines=[line],
            cause=request_id,
            time_to_live_s=1,
        )
        self.fleet.ask("inventory", InventoryServiceStub, request)

    def check(self) -> None:
        """Nothing is held any more, each figure went down and up once, and nothing was sold."""
        assert self.world.level(self.name) == (STOCK, 0)
        figures = [quantity for _, quantity in self.world.figures(self.name)]
        assert figures[-1] == STOCK
        assert sum(max(0, b - a) for a, b in pairwise(figures)) == 2 * self.acts
        assert len(self.world.movements(self.name)) == 1


class Ordering(Story):
    """An order is brought, and runs."""

    process = "order"

    def prepare(self) -> None:
        """Something to order."""
        self.world.make(self.name, stock=STOCK)

    def act(self, request_id: str) -> None:
        """An order for two, paid."""
        line = order_pb2.OrderLine(
            line_id="1",
            item_id=self.name,
            sku=f"SKU-{self.name}",
            name=self.name,
            quantity="2",
            unit_price=euros(10),
        )
        document = order_pb2.OrderDocument(
            order_id=request_id,
            version=1,
            email="ana@example.com",
            buyer_name="Ana",
            payment_status=order_pb2.PAYMENT_STATUS_PAID,
            payment_method="Card",
            payment_processor="Stripe",
            lines=[line],
            total=euros(20),
        )
        request = order_pb2.IngestOrderRequest(
            request_id=request_id, channel_id=self.world.channel_id, document=document
        )
        self.fleet.ask("order", OrderServiceStub, request)

    def check(self) -> None:
        """Each order is one sale, its stock is taken once, and nothing is held."""
        for number in range(self.acts):
            request = order_pb2.GetOrderRequest(
                channel_id=self.world.channel_id, order_id=f"{self.name}/{number}"
            )
            order = self.fleet.ask("order", OrderServiceStub, request).order
            assert order.state == order_pb2.ORDER_STATE_POSTED
        assert self.world.level(self.name) == (STOCK - 2 * self.acts, 0)
        assert len(self.world.movements(self.name)) == 1 + self.acts
        sold = self.world.rows("order", "SELECT order_id FROM sales")
        own = [row[0] for row in sold if row[0].startswith(f"{self.name}/")]
        assert len(own) == len(set(own)) == self.acts


class Selling(Story):
    """A till sells."""

    process = "order"

    def prepare(self) -> None:
        """Something to sell."""
        self.world.make(self.name, stock=STOCK)

    def act(self, request_id: str) -> None:
        """One."""
        sale = order_pb2.Sale(
            sale_id=request_id,
            outlet_id=HOME,
            lines=[order_pb2.SaleLine(item_id=self.name, quantity="1", unit_price=euros(10))],
            payments=[order_pb2.SalePayment(method="Cash", amount=euros(10))],
            total=euros(10),
        )
        request = order_pb2.RecordSaleRequest(request_id=request_id, sale=sale)
        self.fleet.ask("order", OrderServiceStub, request)

    def check(self) -> None:
        """The stock of each sale is taken once."""
        assert self.world.level(self.name) == (STOCK - self.acts, 0)
        assert len(self.world.movements(self.name)) == 1 + self.acts
        for number in range(self.acts):
            request = order_pb2.GetSaleRequest(sale_id=f"{self.name}/{number}")
            assert not self.fleet.ask("order", OrderServiceStub, request).sale.stock_pending


class Forgetting(Story):
    """Answers of long ago are forgotten."""

    process = "customer"

    def meanwhile(self) -> None:
        """More old answers than one transaction forgets."""
        url = self.world.database_url.replace("{service}", "customer")
        engine = open_engine(url or f"sqlite:///{self.fleet.folder}/customer.sqlite3", writing=True)
        old = datetime.now(UTC) - OLD
        row = {"merchant_id": MERCHANT, "method": "old", "digest": b"", "answer": b""}
        rows = [
            row | {"request_id": f"{self.name} {number}", "record_time": old}
            for number in range(2 * FORGET_MAX + 1)
        ]
        with engine.begin() as connection:
            append(connection, CUSTOMER.requests, rows)
        engine.dispose()

    def check(self) -> None:
        """None of them is left."""
        found = self.world.rows("customer", "SELECT count(*) FROM requests WHERE method = 'old'")
        assert found == [(0,)]


class Pruning(Story):
    """Events of long ago are forgotten, but for the last one about each subject."""

    process = "customer"

    def meanwhile(self) -> None:
        """More old events than one transaction forgets, and everybody has read them."""
        url = self.world.database_url.replace("{service}", "customer")
        engine = open_engine(url or f"sqlite:///{self.fleet.folder}/customer.sqlite3", writing=True)
        old = datetime.now(UTC) - OLD
        row = {"merchant_id": MERCHANT, "channel_id": "", "type": "old", "time": old, "data": b""}
        rows = [
            row | {"event_id": f"{self.name} {number}", "subject": f"{self.name} {number % 3}"}
            for number in range(2 * PRUNE_MAX + 1)
        ]
        outbox, consumers = CUSTOMER.outbox, CUSTOMER.consumers
        with engine.begin() as connection:
            append(connection, outbox, rows)
            connection.execute(outbox.update().values(time=old))
            end = connection.execute(select(func.max(outbox.c.cursor))).scalar_one()
            connection.execute(consumers.update().values(cursor=end))
        engine.dispose()

    def check(self) -> None:
        """The last three are left."""
        rows = self.world.rows("customer", "SELECT count(*) FROM outbox WHERE type = 'old'")
        assert rows == [(0,)]
        found = self.world.rows("customer", "SELECT event_id FROM last_events WHERE type = 'old'")
        last = 2 * PRUNE_MAX
        assert sorted(found) == sorted((f"{self.name} {last - n}",) for n in range(3))


class Migrating(Story):
    """A service is started on a database that is empty."""

    process = "newcomer"

    def prepare(self) -> None:
        """The database."""
        self.fleet.own["newcomer"] = {
            "TILLBRIDGE_DATABASE_URL": self.world.new_database(),
            "TILLBRIDGE_CUSTOMER_PORT": str(self.fleet.ports["newcomer"]),
        }
        self.fleet.kept_up.add("newcomer")

    def act(self, request_id: str) -> None:
        """It serves, in the end: so its tables are there."""
        self.fleet.wait_until_ready("newcomer")
        self.fleet.kept_up.discard("newcomer")
        engine = open_engine(self.fleet.own["newcomer"]["TILLBRIDGE_DATABASE_URL"], writing=False)
        with engine.begin() as connection:
            found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").all()
        engine.dispose()
        assert len(found) == 1


class Counting(Story):
    """Somebody counts a shelf in the point of sale."""

    process = "gateway"
    sku = "MUG"
    counted = 10

    def act(self, request_id: str) -> None:
        """One more than last time."""
        type(self).counted += 1
        level = {"outlet_id": shop.OUTLET_MAIN_ID, "current_amount": Counting.counted}
        path = f"/api/2.1/products/{shop.product_id(self.sku)}"
        body = {"details": {"inventory": [level]}}
        self.world.pos.put(path, json=body).raise_for_status()

    def check(self) -> None:
        """Store and Tillbridge show what was counted last."""
        product_id = shop.product_id(self.sku)
        assert self.world.level(product_id, shop.OUTLET_MAIN_ID)[0] == Counting.counted
        request = inventory_pb2.GetOnlineStockRequest(
            channel_id=self.world.web_channel_id, item_id=product_id
        )
        answer = self.fleet.ask("inventory", InventoryServiceStub, request)
        in_store = self.world.store.get("products", params={"sku": self.sku}).json()["items"]
        assert [one["quantity"] for one in in_store] == [answer.online_stock.quantity]


class CountingMeanwhile(Counting):
    """Somebody counts a shelf while the gateway is away; it finds that by itself."""

    def meanwhile(self) -> None:
        """One more than last time."""
        super().act("")

    def act(self, request_id: str) -> None:
        """Nothing more: it is found at the start."""


class Listing(Story):
    """A product is taken out of the store, and put in again."""

    process = "gateway"
    sku = "TEA"
    on = True

    def act(self, request_id: str) -> None:
        """Switches it."""
        Listing.on = not Listing.on
        self.world.sell_online(request_id, [shop.product_id(self.sku)], on=Listing.on)

    def check(self) -> None:
        """The store shows it or not, and the catalog knows."""
        in_store = self.world.store.get("products", params={"sku": self.sku}).json()["items"]
        assert [one["enabled"] for one in in_store] == [Listing.on]
        request = catalog_pb2.GetListingRequest(
            channel_id=self.world.web_channel_id, product_id=shop.product_id(self.sku)
        )
        listing = self.fleet.ask("catalog", CatalogServiceStub, request).listing
        assert (listing.pushed_version, listing.push_error) == (listing.version, "")


class Buying(Story):
    """Somebody buys in the store."""

    process = "gateway"
    sku = "TOTE"

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.order_ids: list[str] = []

    def act(self, request_id: str) -> None:
        """One, paid."""
        product = self.world.store.get("products", params={"sku": self.sku}).json()["items"][0]
        item = {"sku": self.sku, "name": self.sku, "price": product["price"], "quantity": 1}
        answer = self.world.store.post(
            "orders",
            json={
                "email": "jo@example.com",
                "subtotal": product["price"],
                "total": product["price"],
                "paymentMethod": "Card",
                "paymentStatus": "PAID",
                "billingPerson": {"name": "Jo"},
                "items": [{"productId": product["id"], **item}],
                "shippingOption": {
                    "shippingMethodName": "Pickup at Main",
                    "fulfillmentType": "PICKUP",
                    "isPickup": True,
                    "shippingRate": 0,
                    "locationId": shop.OUTLET_MAIN_ID,
                },
            },
        )
        self.order_ids.append(str(answer.raise_for_status().json()["orderid"]))

    def check(self) -> None:
        """Each order is one sale in the point of sale, and Tillbridge knows."""
        sales: list[Mapping[str, Any]] = []
        after = 0
        while page := self.world.pos.get("/api/2.0/sales", params={"after": after}).json()["data"]:
            sales += page
            after = max(sale["version"] for sale in page)
        for order_id in self.order_ids:
            of_order = {sale["id"] for sale in sales if sale["source_id"] == order_id}
            assert len(of_order) == 1
            request = order_pb2.GetOrderRequest(
                channel_id=self.world.web_channel_id, order_id=order_id
            )
            order = self.fleet.ask("order", OrderServiceStub, request).order
            assert order.state == order_pb2.ORDER_STATE_POSTED
            sale = self.fleet.ask(
                "order", OrderServiceStub, order_pb2.GetSaleRequest(sale_id=order.sale_id)
            ).sale
            assert (sale.posted_revision, sale.post_error) == (sale.revision, "")


class Importing(Story):
    """A file of products is imported."""

    process = "importer"

    def prepare(self) -> None:
        """The file."""
        path = Path(self.fleet.folder) / "import.csv"
        rows = [f"imported-{n},SKU-imported-{n},Imported {n},12.50,1" for n in range(3)]
        path.write_text("\n".join(["handle,sku,name,retail_price,active", *rows, ""]))
        self.fleet.arguments["importer"] = ["products", str(path), "--currency", "EUR", "--yes"]
        self.fleet.own["importer"] = {"TILLBRIDGE_TOKEN": token()}

    def act(self, request_id: str) -> None:
        """It has ended; the operator types it again."""
        wait_for(lambda: not self.fleet.is_alive("importer"), SETTLED_S, "end of the import")
        self.fleet.died.add("importer")
        self.fleet.start("importer")
        wait_for(lambda: not self.fleet.is_alive("importer"), SETTLED_S, "end of the import")

    def check(self) -> None:
        """One run, finished, that made each product once."""
        assert self.fleet.log_of("importer").read_text().endswith("ended with 0\n")
        request = imports_pb2.ListImportsRequest()
        (run,) = self.fleet.ask("catalog", ImportServiceStub, request).imports
        assert run.state == imports_pb2.IMPORT_STATE_DONE
        found = self.world.rows("catalog", "SELECT product_id, name FROM products")
        names = sorted(row[1] for row in found if row[1].startswith("Imported "))
        assert names == ["Imported 0", "Imported 1", "Imported 2"]


SERVICE_CASES: Sequence[tuple[str, type[Story]]] = (
    ("migrate.ready", Migrating),
    ("migrate.done", Migrating),
    ("forget.some", Forgetting),
    ("prune.some", Pruning),
    # The first transaction of a process forgets old answers.
    ("commit.begin:2", Adjusting),
    ("commit.handled:2", Adjusting),
    ("commit.remembered:2", Adjusting),
    ("commit.ready:2", Adjusting),
    ("commit.done:2", AdjustingUnheard),
    ("answer.ready", AdjustingUnheard),
    ("follow.read", Learning),
    ("follow.handled", Learning),
    ("follow.acknowledged", Learning),
    ("expiry.due", Reserving),
    ("order.taken", Ordering),
    *((f"order.step.due:{number}", Ordering) for number in range(1, 5)),
    *((f"order.step.done:{number}", Ordering) for number in range(1, 5)),
    ("sale.taken", Selling),
    ("import.sent", Importing),
)
GATEWAY_CASES: Sequence[tuple[str, type[Story]]] = (
    ("bridge.answered", AdjustingOverHttp),
    ("webhook.read", Counting),
    ("webhook.taken", Counting),
    ("push.stock.due", Counting),
    ("push.stock.written", Counting),
    ("push.listing.written", Listing),
    ("push.order.fetched", Buying),
    ("push.sale.posted", Buying),
    ("lease.taken", CountingMeanwhile),
    ("poll.taken", CountingMeanwhile),
    ("poll.kept", CountingMeanwhile),
)
