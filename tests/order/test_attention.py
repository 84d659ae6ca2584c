"""What waits for an operator, and how all of it goes on, on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.chassis.errors import DomainError
from services.order.rules.about import about
from services.order.rules.attention import Cause, Group, key_of, reason_of, remedy, title
from services.order.service import attention
from tests.harness import eventually, metadata, refused, service_metadata
from tests.order.shop import AWAITING, CHANNEL, PAID, Shop, document, eur, line, request_id
from tillbridge.attention.v1 import attention_pb2
from tillbridge.errors.v1 import errors_pb2
from tillbridge.order.v1 import events_pb2
from tillbridge.order.v1 import order_pb2 as pb

NOON = datetime(2026, 7, 4, 12, tzinfo=UTC)
ORDER_WAITING = attention_pb2.ATTENTION_CAUSE_ORDER_WAITING
SALE_NOT_POSTED = attention_pb2.ATTENTION_CAUSE_SALE_NOT_POSTED
SALE_STOCK_NOT_TAKEN = attention_pb2.ATTENTION_CAUSE_SALE_STOCK_NOT_TAKEN
SALE_DIFFERS = attention_pb2.ATTENTION_CAUSE_SALE_DIFFERS
STORE_UPDATE_REFUSED = attention_pb2.ATTENTION_CAUSE_STORE_UPDATE_REFUSED


@pytest.mark.rule("BEY-09")
@pytest.mark.parametrize(
    ("cause", "key", "count", "expected"),
    [
        (
            Cause.ORDER_WAITING,
            "ITEM_NOT_FOUND/SKU X",
            41,
            "SKU X is in no catalog: 41 orders wait",
        ),
        (Cause.ORDER_WAITING, "ITEM_NOT_FOUND/", 1, "An item is in no catalog: 1 order waits"),
        (
            Cause.ORDER_WAITING,
            "INSUFFICIENT_STOCK/item a/b",
            2,
            "There is too little of item a/b in stock: 2 orders wait",
        ),
        (
            Cause.ORDER_WAITING,
            "CUSTOMER_AMBIGUOUS/ann@example.com",
            2,
            "Several customers have the address ann@example.com: 2 orders wait",
        ),
        (
            Cause.ORDER_WAITING,
            "REGISTER_MISSING/channel web",
            1,
            "Channel web has no register: 1 order waits",
        ),
        (Cause.ORDER_WAITING, "INTERNAL/", 3, "what one of them says: 3 orders wait"),
        (Cause.SALE_NOT_POSTED, "no tax", 2, "The point of sale did not take 2 sales: no tax"),
        (
            Cause.SALE_STOCK_NOT_TAKEN,
            "no item",
            1,
            "The stock of 1 sale made at tills could not be taken: no item",
        ),
        (
            Cause.SALE_DIFFERS,
            "web",
            2,
            "The totals of 2 sales of channel web differ from the sum of their parts",
        ),
        (
            Cause.SALE_DIFFERS,
            "web",
            1,
            "The total of 1 sale of channel web differs from the sum of its parts",
        ),
        (
            Cause.SALE_REFUSED,
            "SALE_EXISTS",
            2,
            "2 sales of the point of sale could not be copied (SALE_EXISTS): what one of them says",
        ),
        (
            Cause.STORE_UPDATE_REFUSED,
            "403 no scope",
            2,
            "The store refuses to show how 2 orders stand here: 403 no scope",
        ),
    ],
)
def test_what_is_the_matter_in_plain_words(
    cause: Cause, key: str, count: int, expected: str
) -> None:
    group = Group(cause, key, count, NOON, "what one of them says", ["a"])
    assert expected == title(group)
    assert remedy(group)


@pytest.mark.parametrize(
    ("reason", "facts", "expected"),
    [
        ("ITEM_NOT_FOUND", {"sku": " MUG ", "item_id": "i"}, "SKU MUG"),
        ("ITEM_NOT_FOUND", {"sku": "", "item_id": "i"}, "item i"),
        ("INSUFFICIENT_STOCK", {"item_id": "i", "asked": 1}, "item i"),
        ("OUTLET_NOT_FOUND", {"outlet_id": "o"}, "outlet o"),
        ("SERVICE_UNAVAILABLE", {"sku": "MUG"}, ""),
        ("SKU_AMBIGUOUS", {"sku": "M" * 999}, "SKU " + "M" * 396),
    ],
)
def test_what_a_refusal_is_about(reason: str, facts: dict[str, Any], expected: str) -> None:
    assert expected == about(DomainError(reason, "no", **facts), None)
    assert reason_of(key_of(reason, expected)) == (reason, expected)


async def listed(shop: Shop, page_size: int = 0) -> list[attention_pb2.AttentionGroup]:
    """All groups, page by page."""
    found: list[attention_pb2.AttentionGroup] = []
    token = ""
    while True:
        request = pb.ListAttentionRequest(page_size=page_size, page_token=token)
        answer = await shop.orders.ListAttention(request, metadata=metadata())
        assert len(answer.groups) <= (page_size or 100)
        found += answer.groups
        token = answer.next_page_token
        if not token:
            return found


async def retry_all(
    shop: Shop, cause: "attention_pb2.AttentionCause.ValueType", key: str, told: str = ""
) -> int:
    request = pb.RetryOrdersRequest(request_id=told or request_id(), cause=cause, key=key)
    return (await shop.orders.RetryOrders(request, metadata=metadata())).retried_count


@pytest.mark.asyncio
@pytest.mark.rule("BEY-09")
@pytest.mark.rule("ORD-12")
async def test_orders_that_wait_for_one_thing_are_one_group_and_go_on_together(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "RETRY_MAX", 2)  # so that there are several batches
    monkeypatch.setattr("services.order.rules.order.pause_seconds", lambda *_, **__: 300)
    shop.stock()
    waits = [("plate", "PLATE"), ("plate", "PLATE"), ("plate", "PLATE"), ("bowl", "BOWL")]
    waits += [("plate", "PLATE"), ("plate", "PLATE")]
    for number, (_, sku) in enumerate(waits):
        await shop.ingest(document(f"O{number}", lines=[line(sku)]))
    await shop.ingest(document("LOTS", lines=[line("MUG", "99")]))
    for order_id, reason in [(f"O{number}", "ITEM_NOT_FOUND") for number in range(len(waits))]:
        await shop.becomes(order_id, pb.ORDER_STATE_RECEIVED, reason)
    await shop.becomes("LOTS", pb.ORDER_STATE_MATCHED, "INSUFFICIENT_STOCK")

    groups = await listed(shop)
    assert [(one.cause, one.key, one.waiting_count) for one in groups] == [
        (ORDER_WAITING, "INSUFFICIENT_STOCK/item mug-1", 1),
        (ORDER_WAITING, "ITEM_NOT_FOUND/SKU BOWL", 1),
        (ORDER_WAITING, "ITEM_NOT_FOUND/SKU PLATE", 5),
    ]
    assert groups[2].title == "SKU PLATE is in no catalog: 5 orders wait"
    assert groups[2].examples == [f"{CHANNEL}/O{number}" for number in (0, 1, 2, 4, 5)]
    assert groups[2].since.ToDatetime(tzinfo=UTC) <= datetime.now(UTC)
    assert await listed(shop, page_size=1) == groups
    request = pb.ListOrdersRequest(
        waiting_reason=errors_pb2.ERROR_REASON_ITEM_NOT_FOUND, page_size=9
    )
    assert len((await shop.orders.ListOrders(request, metadata=metadata())).orders) == 6

    shop.world.items["plate-1"] = "PLATE"  # and the catalog has not told so
    shop.world.on_hand["plate-1", "main"] += 9
    told = request_id()
    assert await retry_all(shop, ORDER_WAITING, "ITEM_NOT_FOUND/SKU PLATE", told) == 5
    for number in (0, 1, 2, 4, 5):
        await shop.posted(f"O{number}")
    assert await retry_all(shop, ORDER_WAITING, "ITEM_NOT_FOUND/SKU PLATE", told) == 5  # a repeat
    async with refused("REQUEST_ID_REUSED"):
        await retry_all(shop, ORDER_WAITING, "ITEM_NOT_FOUND/SKU BOWL", told)
    async with refused("ATTENTION_NOT_FOUND") as facts:
        await retry_all(shop, ORDER_WAITING, "ITEM_NOT_FOUND/SKU PLATE")
    assert facts["cause"] == "ORDER_WAITING"
    assert [one.key for one in await listed(shop)] == [
        "INSUFFICIENT_STOCK/item mug-1",
        "ITEM_NOT_FOUND/SKU BOWL",
    ]


@pytest.mark.asyncio
@pytest.mark.rule("BEY-09")
async def test_sales_that_the_point_of_sale_did_not_take_are_written_again(shop: Shop) -> None:
    shop.stock(external_pos=True)
    for order_id in ("A", "B"):
        await shop.ingest(document(order_id, payment_status=PAID))
    sales = [await shop.posted(order_id) for order_id in ("A", "B")]
    for sale in sales:
        failed = pb.ReportSalePostedRequest(
            request_id=request_id(), sale_id=sale.sale_id, revision=sale.revision, error="no tax"
        )
        await shop.orders.ReportSalePosted(failed, metadata=service_metadata())
    (group,) = await listed(shop)
    assert (group.cause, group.key, group.waiting_count) == (SALE_NOT_POSTED, "no tax", 2)
    assert sorted(group.examples) == sorted(sale.sale_id for sale in sales)

    told = len(await shop.sale_events())
    assert await retry_all(shop, SALE_NOT_POSTED, "no tax") == 2
    again = (await shop.sale_events())[told:]
    assert {one.sale_id for _, one in again} == {sale.sale_id for sale in sales}
    assert await listed(shop) == []


async def unshown(shop: Shop) -> dict[str, list[str]]:
    """The orders that their store refuses to show as they stand, by what it says."""
    groups = await listed(shop)
    return {one.key: list(one.examples) for one in groups if one.cause == STORE_UPDATE_REFUSED}


@pytest.mark.asyncio
@pytest.mark.rule("BEY-09")
async def test_what_a_store_refuses_to_show_waits_for_somebody_until_it_shows_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "RETRY_MAX", 1)  # so that there are several batches
    shop.stock()
    for order_id in ("A", "B"):
        await shop.ingest(document(order_id, payment_status=PAID))
        await shop.settled(order_id)
        await shop.refund(order_id, f"back-{order_id}", amount=eur(1))

    async def refuse(order_id: str, message: str, **changes: Any) -> None:
        update = (await shop.order(order_id)).store_update
        update.MergeFrom(pb.StoreUpdate(**changes))
        report = pb.ReportStoreUpdateRefusedRequest(
            request_id=request_id(),
            channel_id=CHANNEL,
            order_id=order_id,
            update=update,
            message=message,
        )
        await shop.orders.ReportStoreUpdateRefused(report, metadata=service_metadata())

    await refuse("A", "403 no scope")
    await refuse("B", "403 no scope")
    await refuse("A", "of something else", tracking_number="1Z")
    both = {"403 no scope": [f"{CHANNEL}/A", f"{CHANNEL}/B"]}
    assert await unshown(shop) == both
    [group] = await listed(shop)
    await refuse("A", "403 no scope")  # as every night
    assert await listed(shop) == [group]

    told = len(await shop.events(events_pb2.OrderChanged))
    assert await retry_all(shop, STORE_UPDATE_REFUSED, "403 no scope") == 2
    again = (await shop.events(events_pb2.OrderChanged))[told:]
    assert {one.order_id for _, one in again} == {"A", "B"}
    assert await unshown(shop) == {}
    async with refused("ATTENTION_NOT_FOUND"):
        await retry_all(shop, STORE_UPDATE_REFUSED, "403 no scope")

    await refuse("A", "404 gone")
    assert await unshown(shop) == {"404 gone": [f"{CHANNEL}/A"]}
    partly = pb.PAYMENT_STATUS_PARTIALLY_REFUNDED
    back = pb.OrderRefund(refund_id="x", amount=eur(1))
    await shop.ingest(document("A", 2, partly, refunds=[back]))

    async def shown() -> None:
        assert await unshown(shop) == {}

    await eventually(shown)
    async with refused("ORDER_NOT_FOUND"):
        await refuse_unknown(shop)


async def refuse_unknown(shop: Shop) -> None:
    report = pb.ReportStoreUpdateRefusedRequest(
        request_id=request_id(),
        channel_id=CHANNEL,
        order_id="Z",
        update=pb.StoreUpdate(),
        message="no",
    )
    await shop.orders.ReportStoreUpdateRefused(report, metadata=service_metadata())


@pytest.mark.asyncio
@pytest.mark.rule("BEY-09")
async def test_stock_of_tills_sales_that_could_not_be_taken(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.order.rules.stock.pause_seconds", lambda *_, **__: 300)
    shop.stock()
    sale = pb.Sale(
        sale_id="till-1",
        outlet_id="main",
        lines=[pb.SaleLine(item_id="plate-1", quantity="1")],
        total=eur(5),
    )
    request = pb.RecordSaleRequest(request_id=request_id(), sale=sale)
    await shop.orders.RecordSale(request, metadata=metadata())

    async def waits() -> None:
        found = [(one.cause, one.waiting_count) for one in await listed(shop)]
        assert found == [(SALE_STOCK_NOT_TAKEN, 1)]

    await eventually(waits)
    (group,) = await listed(shop)
    assert "plate-1" in group.title
    shop.world.items["plate-1"] = "PLATE"
    assert await retry_all(shop, SALE_STOCK_NOT_TAKEN, group.key) == 1

    async def gone() -> None:
        assert await listed(shop) == []
        assert shop.world.on_hand["plate-1", "main"] == -1

    await eventually(gone)


@pytest.mark.asyncio
@pytest.mark.rule("BEY-09")
async def test_sales_whose_total_is_not_the_sum_of_their_parts(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", payment_status=PAID, total=eur(12)))
    sale = await shop.posted("A")
    (group,) = await listed(shop)
    assert (group.cause, group.key, list(group.examples)) == (
        SALE_DIFFERS,
        CHANNEL,
        [sale.sale_id],
    )
    async with refused("INVALID_FIELD"):  # there is nothing to try again
        await retry_all(shop, SALE_DIFFERS, CHANNEL)
    async with refused("INVALID_FIELD"):
        await retry_all(shop, attention_pb2.ATTENTION_CAUSE_OVERSOLD, "x")


@pytest.mark.asyncio
@pytest.mark.rule("BEY-09")
@pytest.mark.rule("ORD-12")
async def test_an_order_waits_since_what_it_waits_for_began(shop: Shop) -> None:
    clock = shop.service.database.clock
    shop.stock()
    await shop.ingest(document("A", lines=[line("PLATE")]))
    await shop.becomes("A", pb.ORDER_STATE_RECEIVED, "ITEM_NOT_FOUND")
    (group,) = await listed(shop)
    since = group.since.ToDatetime(UTC)
    shop.service.database.clock = lambda: clock() + timedelta(hours=1)

    await retry_all(shop, ORDER_WAITING, group.key)  # in vain
    told = document("A", 2, lines=[line("PLATE")], buyer_comment="in a hurry")
    await shop.ingest(told)
    await shop.becomes("A", pb.ORDER_STATE_RECEIVED, "ITEM_NOT_FOUND")
    (group,) = await listed(shop)
    assert group.since.ToDatetime(UTC) == since

    shop.world.create_item("plate-1", "PLATE")
    await shop.becomes("A", pb.ORDER_STATE_MATCHED, "INSUFFICIENT_STOCK")
    (group,) = await listed(shop)
    assert group.since.ToDatetime(UTC) >= since + timedelta(hours=1)


@pytest.mark.asyncio
@pytest.mark.rule("ORD-12")
async def test_an_order_that_is_only_known_by_its_id_is_fetched_again(shop: Shop) -> None:
    shop.stock()
    report = pb.ReportOrderChangeRequest(request_id=request_id(), channel_id=CHANNEL, order_id="A")
    await shop.orders.ReportOrderChange(report, metadata=metadata())
    (group,) = await listed(shop)
    assert (group.key, group.waiting_count) == ("DOCUMENT_MISSING/", 1)
    assert await retry_all(shop, ORDER_WAITING, group.key) == 1


@pytest.mark.asyncio
@pytest.mark.rule("ORD-01")
async def test_orders_are_found_by_what_people_know_of_them(shop: Shop) -> None:
    shop.stock()
    shop.stock("other")
    await shop.ingest(document("XA1", payment_status=PAID, email="Ann@Example.com"))
    await shop.ingest(document("XA2", payment_status=AWAITING, email="bob@example.com"))
    await shop.ingest(document("xb3", payment_status=PAID, email="XA1"), "other")  # typed in so
    orders = {name: await shop.becomes(name, pb.ORDER_STATE_POSTED) for name in ("XA1", "XA2")}
    other = await shop.order("xb3", "other")

    async def found(**filters: Any) -> list[str]:
        request = pb.ListOrdersRequest(**filters)
        answer = await shop.orders.ListOrders(request, metadata=metadata())
        return [one.document.order_id for one in answer.orders]

    everything = ["xb3", "XA2", "XA1"]
    assert await found() == everything
    assert await found(query="XA") == ["XA2", "XA1"]
    assert await found(query="XA2") == ["XA2"]
    assert await found(query="XA1") == ["xb3", "XA1"]  # one by its address
    assert await found(query="x%") == []
    assert await found(query="xb") == ["xb3"]
    assert await found(query=" ann@EXAMPLE.com ") == ["XA1"]
    assert await found(query="ann") == []
    assert await found(channel_id="other") == ["xb3"]
    assert await found(channel_id="other", query="XA2") == []
    assert await found(customer_id=orders["XA2"].customer_id) == ["XA2"]
    assert await found(payment_status=PAID) == ["xb3", "XA1"]
    assert await found(start_time=orders["XA2"].create_time) == ["xb3", "XA2"]
    assert await found(end_time=orders["XA2"].create_time) == ["XA1"]
    assert await found(start_time=other.create_time, end_time=other.create_time) == []
    assert await found(state=pb.ORDER_STATE_HELD) == []
    assert await found(waiting=True) == []


@pytest.mark.asyncio
async def test_many_orders_whose_ids_begin_alike_are_looked_through_by_time(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.order.store.order_lists.SORTED_MAX", 2)
    shop.stock()
    for order_id in ("XA1", "XA2", "XA3", "YA1"):
        await shop.ingest(document(order_id))
    request = pb.ListOrdersRequest(query="XA", page_size=2)
    first = await shop.orders.ListOrders(request, metadata=metadata())
    request.page_token = first.next_page_token
    last = await shop.orders.ListOrders(request, metadata=metadata())
    found = [[one.document.order_id for one in page.orders] for page in (first, last)]
    assert found == [["XA3", "XA2"], ["XA1"]]
