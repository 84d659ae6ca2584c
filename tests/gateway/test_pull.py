"""The way in by polling: the first import, lost webhooks, and odd payloads."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.connections import Link
from gateway.ecom import OrderSeen
from gateway.inward import Inward, batches
from gateway.owners import Owners
from gateway.pos import Gone, MirroredSale, ProductState
from gateway.pull import StorePoll
from gateway.sandbox import shop
from gateway.sandbox.chaos import ChaosSettings
from services.chassis.auth import Tokens
from services.chassis.client import Identity, connect
from services.chassis.errors import DomainError
from tests.gateway.installation import HARBOUR, MAIN, MUG, Installation, gateway, installation
from tests.gateway.served import CONTEXTS, Backend, backend
from tests.harness import KEY, MERCHANT, eventually
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.customer.v1 import customer_pb2
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.order.v1 import order_pb2

WITHIN_S = 15.0


@pytest.fixture
async def installed(tmp_path: Path) -> AsyncIterator[Installation]:
    async with installation(tmp_path) as running, gateway(running):
        yield running


async def level(installed: Installation, item_id: str, outlet_id: str) -> str:
    owners = installed.owners
    request = inventory_pb2.GetStockLevelRequest(item_id=item_id, outlet_id=outlet_id)
    try:
        answer = await owners.call(owners.inventory.GetStockLevel, request)
    except DomainError as error:
        raise AssertionError(error.message) from error
    return answer.level.on_hand


@pytest.mark.rule("CAT-01")
async def test_connecting_a_point_of_sale_brings_all_it_has(installed: Installation) -> None:
    await installed.connect(store=False)
    owners = installed.owners

    async def is_imported() -> None:
        assert await level(installed, MUG, MAIN) == "12"
        assert await level(installed, shop.product_id("ROPE"), HARBOUR) == "62.25"
        assert await level(installed, shop.product_id("CND-MANUKA"), HARBOUR) == "-1"
        request = catalog_pb2.ListListingsRequest(channel_id=installed.channel_id)
        try:
            listings = await owners.call(owners.catalog.ListListings, request)
        except DomainError as error:
            raise AssertionError(error.message) from error
        assert (
            len(listings.listings),
            any(listing.sell_online for listing in listings.listings),
        ) == (17, False)
        customers = await owners.call(
            owners.customers.ListCustomers, customer_pb2.ListCustomersRequest()
        )
        assert len(customers.customers) == 3
        outlets = await owners.call(owners.channels.ListOutlets, channels_pb2.ListOutletsRequest())
        assert {outlet.cause for outlet in outlets.outlets} == {"lightspeed-x"}

    await eventually(is_imported, WITHIN_S)


async def test_what_lost_webhooks_did_not_tell_is_polled(installed: Installation) -> None:
    installed.pos.chaos.set(ChaosSettings(drop=1))
    installed.store.chaos.set(ChaosSettings(drop=1))
    await installed.connect()

    async def is_there(product_id: str = MUG, outlet_id: str = MAIN, wanted: str = "12") -> None:
        assert wanted == await level(installed, product_id, outlet_id)

    await eventually(is_there, WITHIN_S)
    await installed.count(MUG, MAIN, 4)

    async def is_polled() -> None:
        await is_there(wanted="4")

    await eventually(is_polled, WITHIN_S)

    await installed.sell_online(MUG)

    async def is_shown() -> None:
        assert await installed.shown() == 9

    await eventually(is_shown, WITHIN_S)
    order_id = await installed.order(MUG, 1)

    async def is_ingested() -> None:
        owners = installed.owners
        request = order_pb2.GetOrderRequest(channel_id=installed.channel_id, order_id=order_id)
        try:
            order = (await owners.call(owners.orders.GetOrder, request)).order
        except DomainError as error:
            raise AssertionError(error.message) from error
        assert order.state == order_pb2.ORDER_STATE_POSTED

    await eventually(is_ingested, WITHIN_S)


@pytest.mark.rule("ORD-05")
async def test_a_sale_at_the_till_is_in_the_history_and_no_order(installed: Installation) -> None:
    await installed.connect()
    body = {
        "register_id": shop.REGISTER_HARBOUR_ID,
        "status": "CLOSED",
        "register_sale_products": [{"product_id": MUG, "quantity": 1, "price": 20, "tax": 3}],
        "register_sale_payments": [
            {"retailer_payment_type_id": shop.PAYMENT_CASH_ID, "amount": 23}
        ],
    }
    (await installed.pos_api.post("/api/register_sales", json=body)).raise_for_status()

    async def is_mirrored() -> None:
        owners = installed.owners
        sales = (await owners.call(owners.orders.ListSales, order_pb2.ListSalesRequest())).sales
        assert [
            (sale.outlet_id, sale.origin, [p.method for p in sale.payments]) for sale in sales
        ] == [(HARBOUR, order_pb2.SALE_ORIGIN_TILL, ["Cash"])]
        assert await level(installed, MUG, HARBOUR) == "4"
        orders = (await owners.call(owners.orders.ListOrders, order_pb2.ListOrdersRequest())).orders
        assert list(orders) == []

    await eventually(is_mirrored, WITHIN_S)


@pytest.mark.rule("BEY-15")
async def test_how_far_a_list_was_read_is_kept(installed: Installation) -> None:
    await installed.connect(store=False)
    owners = installed.owners

    async def is_kept() -> None:
        for resource in ("pos-products", "pos-levels", "pos-customers"):
            request = channels_pb2.GetPollCursorRequest(
                channel_id=installed.channel_id, resource=resource
            )
            assert (await owners.call(owners.channels.GetPollCursor, request)).cursor

    await eventually(is_kept, WITHIN_S)


# What a service refuses, before backends that answer as they are told to.


class Till:
    """A point of sale that knows one product."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.now_s = 0.0

    async def product(self, item_id: str) -> ProductState | None:
        self.asked.append(item_id)
        return product(item_id) if item_id == "mug" else None

    async def levels(self, item_id: str) -> list[inventory_pb2.Count]:
        self.asked.append(f"levels/{item_id}")
        return [count(item_id)]

    async def outlets(self) -> list[channels_pb2.Outlet]:
        return [channels_pb2.Outlet(outlet_id="main", display_name="Main")]

    async def registers(self) -> list[channels_pb2.Register]:
        return []


@pytest.fixture
async def scripted() -> AsyncIterator[tuple[Inward, dict[str, Backend], Till]]:
    async with (
        backend("catalog") as catalog,
        backend("inventory") as inventory,
        backend("order") as order,
        backend("customer") as customer,
    ):
        found = dict(zip(CONTEXTS, (catalog, inventory, order, customer), strict=True))
        channels = {name: connect(one.address) for name, one in found.items()}
        owners = Owners.reached_by(channels, Identity(Tokens(KEY), "test"), MERCHANT)
        till = Till()
        inward = Inward(owners, till, "till", lambda: till.now_s)  # type: ignore[arg-type]
        yield inward, found, till
        for channel in channels.values():
            await channel.close()


Scripted = tuple[Inward, dict[str, Backend], Till]


def product(product_id: str) -> catalog_pb2.Product:
    return catalog_pb2.Product(
        product_id=product_id, variants=[catalog_pb2.Variant(item_id=product_id)]
    )


def count(item_id: str) -> inventory_pb2.Count:
    return inventory_pb2.Count(item_id=item_id, outlet_id="main", quantity="3", version=1)


def methods(one: Backend) -> Sequence[str]:
    return [call.method for call in one.calls]


async def test_a_service_that_is_down_fails_the_call(scripted: Scripted) -> None:
    inward, backends, _ = scripted
    backends["inventory"].answers["RecordCounts"] = DomainError("SERVICE_UNAVAILABLE", "down")

    with pytest.raises(DomainError) as refused:
        await inward.levels([count("mug")])

    assert refused.value.transient


@pytest.mark.parametrize(("whole", "raised"), [(True, True), (False, False)])
async def test_a_level_that_is_refused_fails_a_webhook_and_no_import(
    scripted: Scripted, whole: bool, raised: bool
) -> None:
    inward, backends, _ = scripted
    backends["inventory"].answers["RecordCounts"] = DomainError("QUANTITY_OUT_OF_RANGE", "too many")
    counts = [count(name) for name in ("a", "b", "c")] if not whole else [count("a")]
    if raised:
        with pytest.raises(DomainError):
            await inward.levels(counts, whole=whole)
    else:
        await inward.levels(counts, whole=whole)
        sizes = [len(call.request.counts) for call in backends["inventory"].calls]
        assert sizes == [3, 1, 2, 1, 1]


async def test_an_unknown_item_is_read_from_the_till_first(scripted: Scripted) -> None:
    inward, backends, till = scripted
    backends["inventory"].answers["RecordCounts"] = DomainError(
        "ITEM_NOT_FOUND", "who?", item_id="mug"
    )
    backends["catalog"].answers["ResolveItems"] = catalog_pb2.ResolveItemsResponse(
        items=[catalog_pb2.ResolvedItem(item_id="mug")]
    )

    with pytest.raises(DomainError) as refused:
        await inward.levels([count("mug")], whole=True)

    assert refused.value.reason == "SERVICE_UNAVAILABLE"
    assert till.asked == ["mug"]
    assert methods(backends["catalog"]) == ["BatchUpsertProducts", "ResolveItems"]
    assert len(backends["inventory"].calls) > 2


async def test_an_item_that_the_till_does_not_know_either_is_refused(scripted: Scripted) -> None:
    inward, backends, _ = scripted
    backends["inventory"].answers["RecordCounts"] = DomainError(
        "ITEM_NOT_FOUND", "who?", item_id="ghost"
    )

    with pytest.raises(DomainError) as refused:
        await inward.levels([count("ghost")], whole=True)

    assert refused.value.reason == "ITEM_NOT_FOUND"
    assert backends["catalog"].calls == []


@pytest.mark.parametrize(
    "missing",
    [
        DomainError("ITEM_NOT_FOUND", "the catalog refused its product", item_id="mug"),
        DomainError("OUTLET_NOT_FOUND", "it was deleted in the till", outlet_id="closed"),
    ],
)
async def test_a_level_of_what_can_never_be_known_holds_up_no_import(
    scripted: Scripted, missing: DomainError
) -> None:
    inward, backends, _ = scripted
    backends["inventory"].answers["RecordCounts"] = missing

    await inward.levels([count("mug")])

    with pytest.raises(DomainError) as refused:
        await inward.levels([count("mug")], whole=True)
    assert refused.value.reason == missing.reason


async def test_a_record_that_is_refused_holds_up_no_poll(scripted: Scripted) -> None:
    inward, backends, _ = scripted
    backends["inventory"].answers["CreateOutlet"] = DomainError("INVALID_FIELD", "its name")
    backends["catalog"].answers["DeleteProduct"] = DomainError("INVALID_FIELD", "its id")

    await inward.places()
    await inward.products([Gone("x" * 200, 4)])

    backends["inventory"].answers["CreateOutlet"] = DomainError("OVERLOADED", "busy")
    with pytest.raises(DomainError):
        await inward.places()


@pytest.mark.rule("SOR-04")
async def test_every_report_names_where_it_came_from(scripted: Scripted) -> None:
    inward, backends, _ = scripted

    await inward.products([product("mug"), Gone("cup", 4)])
    await inward.levels([count("mug")])

    calls = [*backends["catalog"].calls, *backends["inventory"].calls]
    assert [(call.method, call.request.cause) for call in calls] == [
        ("BatchUpsertProducts", "till"),
        ("DeleteProduct", "till"),
        ("RecordCounts", "till"),
    ]


@pytest.mark.rule("BEY-10")
async def test_what_the_catalog_holds_back_is_logged_once_and_stops_nothing(
    scripted: Scripted,
) -> None:
    inward, backends, _ = scripted
    held = catalog_pb2.ProductResult(outcome=catalog_pb2.UPSERT_OUTCOME_HELD)
    refused = catalog_pb2.ProductResult(
        outcome=catalog_pb2.UPSERT_OUTCOME_REFUSED, message="its name"
    )
    backends["catalog"].answers |= {
        "BatchUpsertProducts": catalog_pb2.BatchUpsertProductsResponse(
            results=[held, refused, held]
        ),
        "DeleteProduct": catalog_pb2.DeleteProductResponse(held=True),
    }

    with capture_logs() as logs:
        await inward.products([product("a"), product("b"), product("c"), Gone("d", 4)])

    assert [(one["event"], one["log_level"]) for one in logs] == [
        ("record put aside", "warning"),
        ("products held", "warning"),
        ("deletion held", "warning"),
    ]
    assert (logs[0]["id"], logs[1]["count"], logs[2]["id"]) == ("b", 2, "d")


class Orders:
    """A store that lists these orders."""

    def __init__(self, *seen: OrderSeen) -> None:
        self.seen = seen

    async def orders_since(self, _cursor: str) -> AsyncIterator[tuple[list[OrderSeen], str]]:
        yield list(self.seen), str(max(one.version for one in self.seen))


PAID = order_pb2.PAYMENT_STATUS_PAID


def known(version: int) -> order_pb2.GetOrderResponse:
    document = order_pb2.OrderDocument(version=version, payment_status=PAID)
    order = order_pb2.Order(document=document, state=order_pb2.ORDER_STATE_POSTED)
    return order_pb2.GetOrderResponse(order=order)


@pytest.mark.rule("ORD-12")
@pytest.mark.parametrize(
    ("answer", "cursor"),
    [
        (known(900_000), "900000"),  # all of it is here
        (known(899_000), "900000"),  # not yet, and read again from there
        (known(890_000), "895000"),  # two are not, the older one decides
        (DomainError("INVALID_FIELD", "its id"), "900000"),  # it can never be here
    ],
)
async def test_orders_are_read_again_until_they_are_here(
    scripted: Scripted, answer: order_pb2.GetOrderResponse | DomainError, cursor: str
) -> None:
    _, backends, _ = scripted
    backends["order"].answers["GetOrder"] = answer
    backends["inventory"].answers["GetPollCursor"] = channels_pb2.GetPollCursorResponse(
        cursor="880000"
    )
    channels = {name: connect(one.address) for name, one in backends.items()}
    owners = Owners.reached_by(channels, Identity(Tokens(KEY), "test"), MERCHANT)
    link = Link("ch", owners, None, None, None, None)
    store: Any = Orders(OrderSeen("a", 895_000, PAID), OrderSeen("b", 900_000, PAID))

    for _ in range(2):
        await StorePoll(link, store).poll()

    kept = [call for call in backends["inventory"].calls if call.method == "SetPollCursor"]
    assert [call.request.cursor for call in kept] == [cursor] * 2
    reports = [call for call in backends["order"].calls if call.method == "ReportOrderChange"]
    # Each process asks by itself: its predecessor may not have got to fetch what it was told.
    assert len(reports) == len({call.request.request_id for call in reports})
    for channel in channels.values():
        await channel.close()


async def test_an_unknown_outlet_is_made_known_first(scripted: Scripted) -> None:
    inward, backends, _ = scripted
    backends["inventory"].answers["RecordCounts"] = DomainError("OUTLET_NOT_FOUND", "where?")

    with pytest.raises(DomainError):
        await inward.levels([count("mug")], whole=True)

    assert "CreateOutlet" in methods(backends["inventory"])


def outlets_told(backends: dict[str, Backend]) -> list[channels_pb2.CreateOutletRequest]:
    """What was told of outlets."""
    calls = backends["inventory"].calls
    return [call.request for call in calls if call.method == "CreateOutlet"]


@pytest.mark.rule("BEY-12")
async def test_a_quiet_outlet_is_told_again_before_it_counts_as_silent(scripted: Scripted) -> None:
    inward, backends, till = scripted
    channels = [channels_pb2.Channel(channel_id=f"ch-{number}") for number in range(3)]
    for channel, after_s in zip(channels, (0, 40_000, 600), strict=True):
        channel.policies.silent_after_s = after_s
    answer = channels_pb2.ListChannelsResponse(channels=channels)
    backends["inventory"].answers["ListChannels"] = answer
    for till.now_s in (7200.0, 7201.0, 7349.0, 7350.0, 7500.0):
        await inward.places()
    ids = [request.request_id for request in outlets_told(backends)]
    assert [ids.index(one) for one in ids] == [0, 0, 0, 3, 4]


@pytest.mark.rule("SOR-04")
async def test_an_outlet_is_told_again_once_an_hour(scripted: Scripted) -> None:
    """With the same request id the inventory answers from memory, and writes nothing."""
    inward, backends, till = scripted
    for till.now_s in (7200.0, 7201.0, 10_799.0, 10_800.0):
        await inward.places()

    requests = outlets_told(backends)
    ids = [request.request_id for request in requests]
    assert [ids[0] == other for other in ids] == [True, True, True, False]
    assert {request.cause for request in requests} == {"till"}


async def test_the_same_change_again_has_the_same_request_id(scripted: Scripted) -> None:
    inward, backends, _ = scripted

    for _ in range(2):
        await inward.levels([count("mug")])
        await inward.products([product("mug"), Gone("tee", 4)])
    other = count("mug")
    other.quantity = "4"
    await inward.levels([other])

    ids = [call.request.request_id for one in backends.values() for call in one.calls]
    assert (len(ids), len(set(ids))) == (7, 4)
    assert ids[-1].startswith("till/inventory/mug/main/1/")


async def test_levels_of_a_new_product_are_read_too(scripted: Scripted) -> None:
    inward, backends, till = scripted
    backends["catalog"].answers["BatchUpsertProducts"] = catalog_pb2.BatchUpsertProductsResponse(
        results=[{"product_id": "mug", "outcome": "UPSERT_OUTCOME_CREATED"}]  # type: ignore[list-item]
    )

    await inward.products([product("mug")], with_levels=True)

    assert till.asked == ["levels/mug"]
    assert methods(backends["inventory"]) == ["RecordCounts"]


@pytest.mark.rule("BEY-09")
async def test_a_sale_that_is_refused_is_put_aside_for_an_operator_to_see(
    scripted: Scripted,
) -> None:
    inward, backends, _ = scripted
    backends["order"].answers["RecordSale"] = DomainError("SALE_EXISTS", "another")

    await inward.sales([MirroredSale(order_pb2.Sale(sale_id="s"), 3)])

    record, report = (call.request for call in backends["order"].calls)
    assert (record.mirrored, record.version) == (True, 3)
    assert isinstance(report, order_pb2.ReportSaleRefusedRequest)
    assert (report.sale_id, report.version) == ("s", 3)
    assert (report.reason, report.message) == ("SALE_EXISTS", "another")


@pytest.mark.rule("BEY-09")
async def test_a_sale_that_makes_no_sense_is_shown_to_an_operator_and_holds_up_no_other(
    installed: Installation,
) -> None:
    for number in (1, 2):
        body = {
            "register_id": shop.REGISTER_HARBOUR_ID,
            "status": "CLOSED",
            "register_sale_products": [{"product_id": MUG, "quantity": number, "price": 20}],
        }
        (await installed.pos_api.post("/api/register_sales", json=body)).raise_for_status()
    odd, good = installed.pos.retailer.tables["sales"].values()
    odd["total_price"] = None
    await installed.connect()
    owners = installed.owners

    async def is_shown() -> None:
        sales = (await owners.call(owners.orders.ListSales, order_pb2.ListSalesRequest())).sales
        assert [sale.sale_id for sale in sales] == [good["id"]]
        request = order_pb2.ListAttentionRequest()
        groups = (await owners.call(owners.orders.ListAttention, request)).groups
        assert [list(group.examples) for group in groups] == [[odd["id"]]]
        assert "total_price must be a number" in groups[0].title

    await eventually(is_shown, WITHIN_S)


def test_a_batch_is_small_enough_for_a_message() -> None:
    large = [catalog_pb2.Product(product_id=str(n), description="x" * 300_000) for n in range(8)]
    small: list[Any] = [count(str(n)) for n in range(450)]

    assert [len(part) for part in batches(large)] == [3, 3, 2]
    assert [len(part) for part in batches(small)] == [200, 200, 50]
    assert list(batches([])) == []
